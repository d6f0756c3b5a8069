"""Tracking in MLflow, through its client with explicit run ids: the fluent API's active run is one a thread."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import infra.mlflow_environment  # noqa: F401 (for its effect, which has to come before MLflow)

# isort: split
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE, MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

from infra import processes
from infra.mlflow_backlog import FAILURES, Backlog
from infra.mlflow_models import register, sqlite_file
from infra.run_status import RunStatus
from tasks.errors import InputError, reason_of

for _name in ("mlflow", "alembic"):
    # Migrations of a fresh database tell of each step.
    logging.getLogger(_name).setLevel(logging.WARNING)


class MlflowTracker:
    """See `infra.tracking.Tracker`. One a process; may be used by several threads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._backlog = Backlog(uri)
        self._runs: dict[str, str] = {}
        self._experiments: dict[str, str] = {}
        self._opening = threading.Lock()
        self._opened: MlflowClient | None = None

    @property
    def missing(self) -> int:
        """How many calls of this process have not reached MLflow."""
        return self._backlog.missing

    def prepare(self, experiment: str) -> None:
        """Create database, tables and experiment if there are none.

        Raises:
            InputError: MLflow does not answer, or the experiment was deleted.
        """
        file = sqlite_file(self.uri)
        root = file.absolute().parent / "mlflow-artifacts" if file else None
        # A name comes from data: it may neither lead out of the folder nor be longer than a file's.
        folder = re.sub(r"[^\w.-]+", "-", experiment)[:60].lstrip(".") or "experiment"
        location = (root / folder).as_uri() if root else None
        try:
            # Processes that create the tables of one fresh file at once fail, all but one.
            with processes.locked(file.with_suffix(".lock")) if file else nullcontext():
                found = self._client.get_experiment_by_name(experiment)
                if found is None:
                    self._client.create_experiment(experiment, artifact_location=location)
        except FAILURES as error:
            raise InputError(f"MLflow does not answer at {self.uri} (HEML_MLFLOW_URI): {reason_of(error)}") from error
        if found is not None and found.lifecycle_stage == "deleted":
            raise InputError(
                f"the experiment {experiment} was deleted in MLflow: restore it with `mlflow experiments restore "
                f"--experiment-id {found.experiment_id}`, or give the data set another name"
            )

    def start_run(
        self,
        experiment: str,
        name: str,
        *,
        parent_run_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Open a run and return its id, or a handle: with a server that does not answer now it is opened later."""
        all_tags = dict(tags or {}) | ({MLFLOW_PARENT_RUN_ID: parent_run_id} if parent_run_id else {})
        handle, began = f"later-{uuid4().hex}", _now()

        def create() -> None:
            experiment_id = self._experiment_id(experiment)
            run = self._client.create_run(experiment_id, start_time=began, tags=all_tags, run_name=name)
            self._runs[handle] = str(run.info.run_id)

        self._backlog.add(create, f"the run {name}")
        run_id = self.run_id(handle) or handle
        pairs = [Param(key, str(value)[:MAX_PARAM_VAL_LENGTH]) for key, value in (params or {}).items()]
        for start in range(0, len(pairs), MAX_PARAMS_TAGS_PER_BATCH):
            self._log_params(run_id, pairs[start : start + MAX_PARAMS_TAGS_PER_BATCH])
        return run_id

    def run_id(self, handle: str) -> str:
        """MLflow's id of a run; ``""`` while it is not open."""
        return self._runs.get(handle, "" if handle.startswith("later-") else handle)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int, *, unless_there: bool = False) -> None:
        """Log figures of one step in one transaction."""
        now = _now()
        entities = [Metric(name, float(value), now, step) for name, value in metrics.items()]

        def log(run: str) -> None:
            if unless_there:
                known = self._client.get_metric_history(run, next(iter(metrics)))
                if any(point.step == step for point in known):
                    return
            self._client.log_batch(run, metrics=entities)

        self._log(run_id, log, f"figures of step {step}")

    def log_artifact(self, run_id: str, path: str | Path, folder: str = "") -> None:
        """Keep a copy of a file."""
        self._log(run_id, lambda run: self._client.log_artifact(run, str(path), folder or None), f"the file {path}")

    def log_dict(self, run_id: str, content: Mapping[str, Any], file: str) -> None:
        """Keep a mapping as a file."""
        self._log(run_id, lambda run: self._client.log_dict(run, dict(content), file), f"the file {file}")

    def log_table(self, run_id: str, columns: Mapping[str, list[Any]], file: str) -> None:
        """Keep a table; it can be compared between runs in MLflow's UI."""
        table = pd.DataFrame(dict(columns), dtype=object)  # of pandas' own text columns MLflow 3.17 makes it warn
        self._log(run_id, lambda run: self._client.log_table(run, table, file), f"the table {file}")

    def log_dataset_input(self, run_id: str, name: str, digest: str, source: str) -> None:
        """Say which data the run was trained on; MLflow keeps the first 36 characters of the digest."""
        dataset = Dataset(name, digest[:MAX_DATASET_DIGEST_SIZE], "local", json.dumps({"uri": source}))
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        self._log(run_id, lambda run: self._client.log_inputs(run, inputs), "the data set")

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        entities = [RunTag(key, str(value)) for key, value in tags.items()]
        self._log(run_id, lambda run: self._client.log_batch(run, tags=entities), "tags")

    def end_run(self, run_id: str, status: RunStatus) -> None:
        """Close a run, and try to even if the last call failed: else it is down as running for ever."""
        ended = _now()
        self._backlog.try_again()
        self._log(run_id, lambda run: self._client.set_terminated(run, status, ended), f"the end ({status})")

    def settle(self, patience: float = 10.0) -> bool:
        """Whether nothing waits for MLflow any more, after up to ``patience`` seconds of new tries."""
        return self._backlog.settle(patience)

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
        """Register a version of a model. Nothing waits for it, so what fails here is raised.

        Raises:
            MlflowException: the store does not answer, or refuses.
        """
        return register(self._client, run_id, name, code, artifacts, score, digest)

    @property
    def _client(self) -> MlflowClient:
        # Opening looks at the database, so it waits until something is tracked and may fail like any call.
        with self._opening:
            if self._opened is None:
                self._opened = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            return self._opened

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise MlflowException(
                    f"there is no experiment {name}: the flow has to prepare it", error_code=RESOURCE_DOES_NOT_EXIST
                )
            self._experiments[name] = str(found.experiment_id)
        return self._experiments[name]

    def _log_params(self, run_id: str, params: Sequence[Param]) -> None:
        self._log(run_id, lambda run: self._client.log_batch(run, params=params), "parameters")

    def _log(self, run_id: str, call: Callable[[str], object], what: str) -> None:
        if run_id:
            self._backlog.add(lambda: call(self._runs.get(run_id, run_id)), f"{what} of run {run_id}")


def _now() -> int:
    return time.time_ns() // 1_000_000
