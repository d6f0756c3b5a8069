"""HEML's commands in processes and a home of their own, as the benchmark runs them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors import InputError

ARGUMENTS_SHOWN = 5
HEML = ("-c", "from flows.cli import main; main()")


def run_python(arguments: Sequence[str], home: Path, settings: Mapping[str, str] | None = None) -> str:
    """Run this Python with arguments and wait for it.

    Args:
        arguments: of Python; `(*HEML, "train", ...)` for a command of ours.
        home: the process's HEML home.
        settings: further `HEML_` settings, without the prefix; none of this process's are passed on.

    Returns:
        What it wrote to standard output.

    Raises:
        InputError: it failed; with the last line that it said.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HEML_", "PREFECT_API"))}
    environment |= {f"HEML_{name}": value for name, value in {"HOME": str(home), **(settings or {})}.items()}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=home
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise InputError(f"{' '.join(arguments[-ARGUMENTS_SHOWN:])} ended with {done.returncode}: {said[-1]}")
    return done.stdout
