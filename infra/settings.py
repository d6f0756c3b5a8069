"""What differs from one machine to another: where things are kept, which engine runs the tasks, on what device.

Every field can be given as an environment variable with the prefix ``HEML_`` (``HEML_ENGINE=threads``,
``HEML_RESOURCES='{"CUDA": 1}'``). The command line reads them with ``load_settings``, which turns a wrong value
into one line instead of pydantic's report.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import InputError

Engine = Literal["threads", "local", "address", "cluster"]
Device = Literal["auto", "cpu", "cuda"]


class Settings(BaseSettings):
    """Where and on what the pipeline runs. Immutable; nothing here changes a result except ``device``."""

    model_config = SettingsConfigDict(env_prefix="HEML_", frozen=True, extra="forbid")

    home: Path = Field(Path(".heml"), validate_default=True)
    """Folder of everything that a run leaves behind; made absolute."""
    engine: Engine = "local"
    """Threads of this process, a Dask cluster on this machine, the Dask scheduler at ``dask_address``, or workers that
    are asked for as ``cluster_file`` says."""
    workers: PositiveInt | None = None
    """Tasks at once on this machine; by default one a GPU, or cores / ``threads`` without one."""
    threads: PositiveInt = 1
    """Torch threads a task."""
    device: Device = "auto"
    dask_address: str | None = None
    """Of a running scheduler, ``tcp://host:8786``."""
    cluster_file: Path | None = None
    """How Slurm or Kubernetes is asked for workers: see infra/clusters; made absolute."""
    resources: dict[str, PositiveFloat] | None = None
    """Dask resources that every training task asks for; by default ``{"CUDA": 1}`` on a GPU, a small node its share in
    quarters (``runners.training_needs``), and nothing on a CPU."""
    mlflow_uri: str | None = None
    """By default an SQLite file under ``home``."""

    @field_validator("home", "cluster_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # Dask workers and servers are other processes, with working directories of their own.
        return path and path.expanduser().absolute()

    @property
    def torch_device(self) -> Literal["cpu", "cuda"]:
        """The device that tasks compute on.

        Raises:
            InputError: ``device`` is ``cuda`` and tasks would run on this machine, where torch sees no GPU.
        """
        if self.device == "cpu":
            return "cpu"
        gpus = gpu_count()
        if self.device == "auto":
            return "cuda" if gpus else "cpu"
        # With these engines the GPUs are the workers': this machine may well have none.
        if not gpus and self.engine not in ("address", "cluster"):
            raise InputError("device is cuda, but torch sees no GPU on this machine: use device cpu or auto")
        return "cuda"

    @property
    def worker_count(self) -> int:
        """Tasks at once on this machine."""
        if self.workers is not None:
            return self.workers
        if self.torch_device == "cuda":
            return max(1, gpu_count())
        return max(1, available_cores() // self.threads)

    @property
    def task_resources(self) -> dict[str, float]:
        """Dask resources that a training task asks for."""
        if self.resources is not None:
            return dict(self.resources)
        return {"CUDA": 1.0} if self.torch_device == "cuda" else {}

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry address."""
        return self.mlflow_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of MLflow's artifacts, unless a remote MLflow server keeps them."""
        return self.home / "mlflow-artifacts"

    @property
    def nodes(self) -> Path:
        """Folder of the nodes' checkpoints."""
        return self.home / "nodes"

    @property
    def models(self) -> Path:
        """Folder of copies of models whose files lie with an MLflow server."""
        return self.home / "models"

    @property
    def decoded(self) -> Path:
        """Folder of the memory-mapped, decoded images."""
        return self.home / "decoded"

    @property
    def results(self) -> Path:
        """Folder of Prefect's persisted task results; every worker has to see it."""
        return self.home / "results"

    @property
    def logs(self) -> Path:
        """Folder of the servers' logs."""
        return self.home / "logs"


def load_settings(**given: Any) -> Settings:
    """Settings from the environment, overruled by the arguments that are not None.

    Raises:
        InputError: a value is not allowed; says which, what was got and what is allowed.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"setting {field} (HEML_{field.split('.')[0].upper()}): {first['msg'].lower()}; got {first['input']!r}"
        ) from error


def available_cores() -> int:
    """CPU cores that this process may use, which a container can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_count() -> int:
    """GPUs that torch sees in this process."""
    # Torch takes seconds to import, and `device: cpu` never needs it.
    import torch  # noqa: PLC0415

    return torch.cuda.device_count()
