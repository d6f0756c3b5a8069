"""Files of a source: reading one, and telling whether any of a photo's has changed."""

import hashlib
import json
from pathlib import Path

from tasks.errors import InputError
from tasks.segments.shard_schema import MOST_PICTURE_BYTES


def read_source_file(path: Path) -> bytes:
    """A photo's or a label map's bytes.

    Raises:
        InputError: it cannot be read, is no plain file, or is larger than a store can keep.
    """
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise InputError(f"{path} cannot be read (no plain file): give a photo's file")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_PICTURE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}): check the file and its permissions") from error
    if len(data) > MOST_PICTURE_BYTES:
        raise InputError(f"{path} has more than {MOST_PICTURE_BYTES} bytes: make it smaller")
    return data


def classes_digest(classes: dict[int, str]) -> str:
    """SHA-256 of a class table."""
    return hashlib.sha256(json.dumps(classes, sort_keys=True).encode()).hexdigest()


def fingerprint(classes: str, image: Path, mask: Path | None) -> str:
    """What changes with a photo: the digest of its class table, its name, and size and time of its files."""
    stats = [path.stat() for path in (image, mask) if path is not None]
    facts = [classes, image.name, *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
