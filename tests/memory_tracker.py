"""A tracker that keeps everything in this process: the double for tests of what tracks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.run_status import RunStatus


@dataclass
class MemoryRun:
    """A run, to look at in tests."""

    experiment: str
    name: str
    parent_run_id: str | None
    params: dict[str, Any]
    tags: dict[str, str]
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    datasets: list[tuple[str, str, str]] = field(default_factory=list)
    status: str = "RUNNING"


@dataclass
class MemoryTracker:
    """A tracker that keeps everything in this process."""

    runs: dict[str, MemoryRun] = field(default_factory=dict)
    models: dict[str, list[float | None]] = field(default_factory=dict)
    digests: dict[str, list[str | None]] = field(default_factory=dict)
    missing: int = 0

    def prepare(self, experiment: str) -> None:
        """Nothing to prepare."""

    def start_run(
        self,
        experiment: str,
        name: str,
        *,
        parent_run_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """See `Tracker`."""
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = MemoryRun(experiment, name, parent_run_id, dict(params or {}), dict(tags or {}))
        return run_id

    def run_id(self, handle: str) -> str:
        """See `Tracker`."""
        return handle if handle in self.runs else ""

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int, *, unless_there: bool = False) -> None:
        """See `Tracker`."""
        there = any(of == step and next(iter(metrics)) in figures for of, figures in self.runs[run_id].metrics)
        if not (unless_there and there):
            self.runs[run_id].metrics.append((step, dict(metrics)))

    def log_artifact(self, run_id: str, path: str | Path, folder: str = "") -> None:
        """See `Tracker`."""
        self.runs[run_id].artifacts.append(str(Path(folder) / Path(path).name))

    def log_dict(self, run_id: str, content: Mapping[str, Any], file: str) -> None:
        """See `Tracker`."""
        self.runs[run_id].artifacts.append(file)

    def log_table(self, run_id: str, columns: Mapping[str, list[Any]], file: str) -> None:
        """See `Tracker`."""
        self.runs[run_id].artifacts.append(file)

    def log_dataset_input(self, run_id: str, name: str, digest: str, source: str) -> None:
        """See `Tracker`."""
        self.runs[run_id].datasets.append((name, digest, source))

    def settle(self, patience: float = 10.0) -> bool:
        """See `Tracker`."""
        return True

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        self.runs[run_id].tags.update(tags)

    def end_run(self, run_id: str, status: RunStatus) -> None:
        """See `Tracker`."""
        self.runs[run_id].status = status

    def register_model(
        self,
        run_id: str,
        name: str,
        code: Path,
        artifacts: Mapping[str, str],
        score: float | None,
        *,
        digest: str | None = None,
    ) -> str:
        """See `Tracker`."""
        versions = self.models.setdefault(name, [])
        known = self.digests.setdefault(name, [])
        if digest is not None and digest in known:
            return f"models:/{name}/{known.index(digest) + 1}"
        versions.append(score)
        known.append(digest)
        return f"models:/{name}/{len(versions)}"
