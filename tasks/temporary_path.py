"""Where a file or folder is written before it is renamed: whole or not at all."""

from pathlib import Path
from uuid import uuid4

from tasks.errors import InputError


def temporary_path(path: Path) -> Path:
    """A hidden path beside this one that nobody else takes; a process's number is not unique on a shared disk."""
    return path.with_name(f".{path.name}.{uuid4().hex}")


def check_replaceable(folder: Path, mark: str) -> None:
    """That nothing but an earlier result is lost where a folder is written anew.

    Args:
        folder: it need not be there.
        mark: name of a file that is in every such result.

    Raises:
        InputError: there is something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / mark).is_file():
        raise InputError(f"{folder} would be replaced, and was not made by heml (no {mark}): give another --out")


def write_whole(path: Path, text: str) -> None:
    """Write a file, whole or not at all: what was there before stays until the new one takes its place.

    Raises:
        OSError: the disk is full or not writable; nothing is left behind.
    """
    temporary = temporary_path(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
