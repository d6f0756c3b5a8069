"""The pull step of prefect.yaml: a worker's flow runs start in a folder of this project on the worker's machine."""

import os
from pathlib import Path

from tasks.errors import InputError


def enter_checkout(directory: str | None = None) -> dict[str, str]:
    """Make a folder of this project the working directory; relative paths of a run's parameters start from it.

    Args:
        directory: what HEML_CHECKOUT names on the worker's machine; empty or None where it is not set.

    Returns:
        The folder under "directory", where Prefect looks for the flow.

    Raises:
        InputError: HEML_CHECKOUT is not set, or names no folder of this project.
    """
    if not directory:
        raise InputError(
            "HEML_CHECKOUT is not set where the worker runs: start `prefect worker start` again with "
            "HEML_CHECKOUT=/the/project's/folder"
        )
    folder = Path(directory).expanduser()
    if not folder.is_absolute() or not (folder / "prefect.yaml").is_file():
        raise InputError(
            f"HEML_CHECKOUT names {directory}, which is no folder of this project on the worker's machine: set it to "
            "the absolute path of one that holds prefect.yaml, and start the worker again"
        )
    os.chdir(folder)
    return {"directory": str(folder)}
