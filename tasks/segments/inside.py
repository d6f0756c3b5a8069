"""Whether a file that someone else named is where it may be."""

from pathlib import Path


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, followed through its links, ends below a folder; False for what is no path at all."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long a name, NUL, links in a circle
        return False
