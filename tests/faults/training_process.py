"""Runs of `heml train` as processes of their own, which can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEML = str(Path(sys.executable).with_name("heml"))
EPOCHS = 4
OPTIONS = {"trunk": "small", "size": 32, "embedding": 16, "epochs": EPOCHS, "batch": 32, "learning-rate": 1e-3}


def until(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """The first true answer.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {why}")
        time.sleep(0.1)
    return answer


@dataclass
class Run:
    """A `heml train` under way.

    Attributes:
        process: of the command, the leader of its own group.
        home: where its nodes are kept.
        out: folder of its results.
    """

    process: subprocess.Popen[bytes]
    home: Path
    out: Path

    @property
    def said(self) -> str:
        """All that it has said so far."""
        return (self.out / "log").read_text(encoding="utf-8", errors="replace")

    def ended(self, seconds: float = 900) -> int:
        """Its exit status, once there is one."""
        return self.process.wait(seconds)

    def outcome(self, seconds: float = 900) -> dict[str, Any]:
        """What it found, once it has ended well."""
        assert self.ended(seconds) == 0, self.said
        found: dict[str, Any] = json.loads((self.out / "said.json").read_text(encoding="utf-8"))
        return found

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def under_way(self) -> list[Path]:
        """States of its home's trainings that have begun and not ended, after an epoch or more."""
        return sorted((self.home / "nodes").glob("*/last.safetensors"))

    def finished_nodes(self) -> int:
        """How many nodes of its home have been trained to their end."""
        return sum(1 for _ in (self.home / "nodes").glob("*/result.json"))


def start_run(home: Path, store: Path, tree: Path, out: Path, variables: Mapping[str, str], **changes: object) -> Run:
    """Start a training.

    Args:
        home: where nodes are kept.
        store: of photos.
        tree: its YAML file.
        out: folder of its results.
        variables: of its environment.
        changes: of `OPTIONS`.
    """
    out.mkdir(parents=True)
    command = [HEML, "--home", str(home), "train", "--store", str(store), "--tree", str(tree), "--out", str(out)]
    for name, value in {**OPTIONS, **changes}.items():
        command += [f"--{name}", str(value)]
    with (out / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--json", str(out / "said.json")],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(variables),
            start_new_session=True,
        )
    return Run(process, home, out)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Of a process: this one's less all that would direct it elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEML_", "PREFECT_", "PG"))}
    return {**kept, "OMP_NUM_THREADS": "1", **variables}
