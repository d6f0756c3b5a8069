"""Whether a folder can be written to, asked before the work and not after it."""

from pathlib import Path
from tempfile import TemporaryFile

from tasks.errors import InputError


def check_writable(folder: Path) -> None:
    """Make the folder where it is missing, and write to it.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be written to ({error.strerror}): give another --out") from None
