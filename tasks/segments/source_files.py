"""Files of a source: reading one, and telling whether any of a photo's has changed."""

import hashlib
import json
from pathlib import Path

from tasks.errors import InputError


def read_source_file(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file and its permissions") from error


def classes_digest(classes: dict[int, str]) -> str:
    """SHA-256 of a class table."""
    return hashlib.sha256(json.dumps(classes, sort_keys=True).encode()).hexdigest()


def fingerprint(classes: str, image: Path, mask: Path | None) -> str:
    """What changes with a photo: the digest of its class table, its name, and size and time of its files."""
    stats = [path.stat() for path in (image, mask) if path is not None]
    facts = [classes, image.name, *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
