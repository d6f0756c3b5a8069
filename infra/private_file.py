"""A file that its owner alone may read: a password, a key."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a new file with mode 600; one that is there before, whoever may read it, is taken away."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
