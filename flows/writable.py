"""Whether a folder can be written to, or written anew: asked before the work and not after it."""

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


def check_own(folder: Path, mark: str) -> None:
    """That nothing but an earlier result is lost where the folder is written anew.

    Args:
        folder: it need not be there.
        mark: name of a file that is in every such result.

    Raises:
        InputError: there is something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / mark).is_file():
        raise InputError(f"{folder} would be replaced, and was not made by heml (no {mark}): give another --out")
