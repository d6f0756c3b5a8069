"""Tracking in MLflow, through its client with explicit run ids: the fluent API's active run is one a thread."""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import infra.mlflow_environment  # noqa: F401 (for its effect, which has to come before MLflow)

# isort: split
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.validation import MAX_DATASET_DIGEST_SIZE, MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH
from sqlalchemy.exc import SQLAlchemyError

from infra import processes
from infra.memory_tracker import RunStatus
from infra.mlflow_models import register, sqlite_file
from tasks.errors import InputError

T = TypeVar("T")

SLOW = 1.0
PAUSE = 30.0
"""After a failure that took ``SLOW`` seconds, nothing is tried for ``PAUSE`` seconds: a server that is gone must not
slow a training down."""
LOCKED_PATIENCE = 60.0
"""Seconds of new tries while other processes hold SQLite's lock, on top of MLflow's own 20 s a try."""

_FAILURES = (MlflowException, SQLAlchemyError, requests.RequestException, OSError)

logger = logging.getLogger(__name__)
for _name in ("mlflow", "alembic"):
    # Migrations of a fresh database tell of each step.
    logging.getLogger(_name).setLevel(logging.WARNING)


class MlflowTracker:
    """See `infra.tracking.Tracker`. One a process; may be used by several threads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.missing = 0
        self._silent_until = 0.0
        self._experiments: dict[str, str] = {}
        self._opening = threading.Lock()
        self._opened: MlflowClient | None = None

    def prepare(self, experiment: str, artifacts: Path | None = None) -> None:
        """Create database, tables and experiment if there are none.

        Raises:
            InputError: MLflow does not answer, or the experiment was deleted.
        """
        file = sqlite_file(self.uri)
        root = artifacts or (file.absolute().parent / "mlflow-artifacts" if file else None)
        location = (root / re.sub(r"[^\w.-]+", "-", experiment)).as_uri() if root else None
        try:
            # Processes that create the tables of one fresh file at once fail, all but one.
            with processes.locked(file.with_suffix(".lock")) if file else nullcontext():
                found = self._client.get_experiment_by_name(experiment)
                if found is None:
                    self._client.create_experiment(experiment, artifact_location=location)
        except _FAILURES as error:
            raise InputError(f"MLflow does not answer at {self.uri} (HEML_MLFLOW_URI): {_line(error)}") from error
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
        """Open a run and return its id, ``""`` if that failed."""
        all_tags = dict(tags or {}) | ({MLFLOW_PARENT_RUN_ID: parent_run_id} if parent_run_id else {})

        def create() -> str:
            run = self._client.create_run(self._experiment_id(experiment), tags=all_tags, run_name=name)
            return str(run.info.run_id)

        run_id = self._track(create, f"the run {name}") or ""
        pairs = [Param(key, str(value)[:MAX_PARAM_VAL_LENGTH]) for key, value in (params or {}).items()]
        for start in range(0, len(pairs), MAX_PARAMS_TAGS_PER_BATCH):
            self._log_params(run_id, pairs[start : start + MAX_PARAMS_TAGS_PER_BATCH])
        return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int) -> None:
        """Log figures of one step in one transaction."""
        now = time.time_ns() // 1_000_000
        entities = [Metric(name, float(value), now, step) for name, value in metrics.items()]
        self._log(run_id, lambda: self._client.log_batch(run_id, metrics=entities), f"figures of step {step}")

    def log_artifact(self, run_id: str, path: str | Path, folder: str = "") -> None:
        """Keep a copy of a file."""
        self._log(run_id, lambda: self._client.log_artifact(run_id, str(path), folder or None), f"the file {path}")

    def log_dict(self, run_id: str, content: Mapping[str, Any], file: str) -> None:
        """Keep a mapping as a file."""
        self._log(run_id, lambda: self._client.log_dict(run_id, dict(content), file), f"the file {file}")

    def log_table(self, run_id: str, columns: Mapping[str, list[Any]], file: str) -> None:
        """Keep a table; it can be compared between runs in MLflow's UI."""
        table = pd.DataFrame(dict(columns), dtype=object)  # of pandas' own text columns MLflow 3.17 makes it warn
        self._log(run_id, lambda: self._client.log_table(run_id, table, file), f"the table {file}")

    def log_dataset_input(self, run_id: str, name: str, digest: str, source: str) -> None:
        """Say which data the run was trained on; MLflow keeps the first 36 characters of the digest."""
        dataset = Dataset(name, digest[:MAX_DATASET_DIGEST_SIZE], "local", json.dumps({"uri": source}))
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        self._log(run_id, lambda: self._client.log_inputs(run_id, inputs), "the data set")

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        entities = [RunTag(key, str(value)) for key, value in tags.items()]
        self._log(run_id, lambda: self._client.log_batch(run_id, tags=entities), "tags")

    def end_run(self, run_id: str, status: RunStatus) -> None:
        """Close a run, and try to even if the last call failed: else it is down as running for ever."""
        self._silent_until = 0.0
        self._log(run_id, lambda: self._client.set_terminated(run_id, status), f"the end ({status})")

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
                raise MlflowException(f"there is no experiment {name}: the flow has to prepare it")
            self._experiments[name] = str(found.experiment_id)
        return self._experiments[name]

    def _log_params(self, run_id: str, params: Sequence[Param]) -> None:
        self._log(run_id, lambda: self._client.log_batch(run_id, params=params), "parameters")

    def _log(self, run_id: str, call: Callable[[], object], what: str) -> None:
        if run_id:
            self._track(call, f"{what} of run {run_id}")

    def _track(self, call: Callable[[], T], what: str) -> T | None:
        """The call's value; None if it failed, which is counted, and said the first time."""
        began = time.monotonic()
        if began < self._silent_until:
            self.missing += 1
            return None
        try:
            return _patiently(call)
        except _FAILURES as error:
            if time.monotonic() - began > SLOW:
                self._silent_until = time.monotonic() + PAUSE
            if not self.missing:
                logger.warning(
                    "MLflow at %s lacks %s, and maybe more; the training goes on. %s", self.uri, what, _line(error)
                )
            self.missing += 1
            return None


def _patiently(call: Callable[[], T]) -> T:
    """Call again while other processes hold SQLite's lock: a transaction that failed so has left nothing behind."""
    deadline, wait = time.monotonic() + LOCKED_PATIENCE, 0.05
    while True:
        try:
            return call()
        except (MlflowException, SQLAlchemyError) as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(wait)
        wait = min(2 * wait, 2.0)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
