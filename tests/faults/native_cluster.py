"""`heml up --profile cluster` as a process of its own, whose parts can be killed."""

import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its wheel has no types

from tests.faults.training_process import HEML, Run, environment, start_run, until

PARTS = {
    "CUDA worker": "--name cuda-0",
    "CPU worker": "--name cpu-0",
    "scheduler": "distributed.cli.dask_scheduler",
    "Prefect's server": "infra.prefect_app",
    "MLflow": "mlflow",
    "PostgreSQL": "bin/postgres -D",
}
"""Part of the cluster to what its command line contains."""


@dataclass
class NativeCluster:
    """The cluster's processes.

    Attributes:
        home: its folder.
        folder: where runs leave theirs.
        process: `heml up`.
    """

    home: Path
    folder: Path
    process: subprocess.Popen[bytes] = field(init=False)
    _runs: int = 0

    def __enter__(self) -> "NativeCluster":
        with (self.folder / "up.log").open("wb") as log:
            self.process = subprocess.Popen(
                [HEML, "--home", str(self.home), "--device", "cpu", "up", "--profile", "cluster"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment({}),
                start_new_session=True,
            )
        until((self.home / "cluster.env").exists, 180, "the cluster is up")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)

    @property
    def said(self) -> str:
        """What `heml up` has said so far."""
        return (self.folder / "up.log").read_text(encoding="utf-8", errors="replace")

    @property
    def variables(self) -> dict[str, str]:
        """What `cluster.env` sets."""
        lines = (self.home / "cluster.env").read_text(encoding="utf-8").splitlines()
        return dict(shlex.split(line)[1].split("=", 1) for line in lines)

    def train(self, store: Path, tree: Path, home: Path | None = None, **changes: object) -> Run:
        """Start a training on the cluster.

        Args:
            store: of photos.
            tree: its YAML file.
            home: where nodes are kept, if not the cluster's.
            changes: of its options.
        """
        self._runs += 1
        out = self.folder / "runs" / f"{self._runs:03d}"
        return start_run(home or self.home, store, tree, out, self.variables, **changes)

    def processes(self, part: str) -> list[psutil.Process]:
        """Those of a part of the cluster that run now."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if PARTS[part] in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def kill(self, *parts: str) -> None:
        """`kill -9` of all processes of some parts, at once."""
        found = [process for part in parts for process in until(lambda: self.processes(part), 120, f"{part} runs")]  # noqa: B023 (called at once)
        for process in found:
            with suppress(psutil.Error):
                process.kill()

    def forget(self) -> None:
        """Let every node be trained anew by the next run."""
        shutil.rmtree(self.home / "nodes", ignore_errors=True)

    def trained(self, since: float) -> dict[str, list[int]]:
        """Node to its epochs since a time, each as often as it was trained, as MLflow has it.

        A run that goes on with another's training has that one's epochs as well, with the same images a second.
        """
        from mlflow import MlflowClient  # noqa: PLC0415 (takes seconds)
        from mlflow.entities import ViewType  # noqa: PLC0415 (as above)

        client = MlflowClient(self.variables["HEML_MLFLOW_URI"])
        experiments = [experiment.experiment_id for experiment in client.search_experiments(view_type=ViewType.ALL)]
        found: dict[str, set[tuple[int, float]]] = {}
        for run in client.search_runs(experiments, f"attributes.start_time >= {int(1000 * since)}", max_results=5000):
            if node := run.data.tags.get("node"):
                speeds = client.get_metric_history(run.info.run_id, "images_per_second")
                found.setdefault(node, set()).update((point.step, point.value) for point in speeds)
        return {node: sorted(step for step, _ in epochs) for node, epochs in found.items()}

    def curve(self, run: str) -> list[int]:
        """The epochs that a node's run in MLflow shows."""
        from mlflow import MlflowClient  # noqa: PLC0415 (takes seconds)

        history = MlflowClient(self.variables["HEML_MLFLOW_URI"]).get_metric_history(run, "loss")
        return [point.step for point in history]
