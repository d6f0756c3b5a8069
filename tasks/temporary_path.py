"""Where a file or folder is written before it is renamed: whole or not at all."""

from pathlib import Path
from uuid import uuid4


def temporary_path(path: Path) -> Path:
    """A hidden path beside this one that nobody else takes; a process's number is not unique on a shared disk."""
    return path.with_name(f".{path.name}.{uuid4().hex}")
