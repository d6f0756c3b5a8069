"""The file that `cluster_file` names: how Dask asks Slurm or Kubernetes for workers. Examples: infra/clusters."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from dask.utils import parse_bytes
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from tasks.errors import InputError

CPU = "CPU"
"""The Dask resource of a worker without a GPU: what needs none asks for it, and stays away from the others."""
CUDA = "CUDA"
"""The Dask resource of a worker with a GPU, one a GPU."""


def _memory(text: str) -> str:
    try:
        if parse_bytes(text) < 1 << 20:
            raise ValueError("less than a megabyte; give a unit, such as 16 GiB")
    except (ValueError, TypeError) as error:
        raise ValueError(f"no amount of memory: {error}") from error
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Workers(_Strict):
    """Workers of one kind. Each is a job or a pod of its own."""

    count: PositiveInt
    cores: PositiveInt
    """CPU cores a worker."""
    memory: Annotated[str, AfterValidator(_memory)]
    """A worker, with its unit: ``16 GiB``."""
    tasks: PositiveInt
    """Tasks at once on a worker; on a GPU as far as their shares of it allow."""

    @property
    def bytes(self) -> int:
        """Memory a worker."""
        return int(parse_bytes(self.memory))


class SlurmWorkers(Workers):
    """Jobs of one kind."""

    partition: str | None = None
    account: str | None = None
    walltime: str
    """``HH:MM:SS``; a job that ends is asked for again, and its node is trained on from its last epoch."""
    directives: tuple[str, ...] = Field((), strict=False)
    """More lines of the job, without ``#SBATCH``."""


class KubernetesWorkers(Workers):
    """Pods of one kind."""

    pod: dict[str, Any] = {}
    """More fields of the pod, such as ``nodeSelector`` and ``tolerations``."""


class SlurmFile(_Strict):
    """Workers that Slurm starts, through dask-jobqueue."""

    kind: Literal["slurm"]
    wait_seconds: PositiveFloat
    """For the first workers of each kind, which wait in the queue."""
    interface: str
    """Network interface that the flow's machine and the workers' ones are joined by, such as ``eth0`` or ``ib0``."""
    python: str | None = None
    """The Python that has this project, where workers run; by default the flow's."""
    prologue: tuple[str, ...] = Field((), strict=False)
    """Shell lines before the worker starts."""
    gpu: str = "--gres=gpu:1"
    """How one GPU is asked for."""
    cpu: SlurmWorkers | None = None
    cuda: SlurmWorkers | None = None


class KubernetesFile(_Strict):
    """Pods that Dask's operator starts, through dask-kubernetes."""

    kind: Literal["kubernetes"]
    wait_seconds: PositiveFloat
    """For the first workers of each kind, which may wait for a machine."""
    namespace: str
    image: str
    home_claim: str
    """Volume claim that is mounted at ``home`` in each pod; it has to allow ReadWriteMany."""
    environment: dict[str, str] = {}
    """Variables of the workers; no secrets."""
    cpu: KubernetesWorkers | None = None
    cuda: KubernetesWorkers | None = None


ClusterFile = SlurmFile | KubernetesFile
_KINDS: dict[str, type[ClusterFile]] = {"slurm": SlurmFile, "kubernetes": KubernetesFile}


def read_cluster_file(path: Path) -> ClusterFile:
    """Read and check a cluster file.

    Raises:
        InputError: it cannot be read, or a field is missing, unknown or wrong; names the file and the field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(
            f"the cluster file {path} (HEML_CLUSTER_FILE) cannot be read ({reason}): name a YAML file, such as a copy "
            "of infra/clusters/slurm.yaml"
        ) from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        raise InputError(f"the cluster file {path} is not YAML{line}: see infra/clusters for examples") from error
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(f"the cluster file {path} needs the field kind, one of {', '.join(_KINDS)}; got {kind!r}")
    try:
        file = _KINDS[kind].model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        got = "" if first["type"] == "missing" else f"; got {first['input']!r}"
        raise InputError(f"the cluster file {path}, field {field}: {first['msg'].lower()}{got}") from error
    if file.cpu is None and file.cuda is None:
        raise InputError(f"the cluster file {path} asks for no workers: give it the field cpu, cuda, or both")
    return file


def offers(file: ClusterFile) -> dict[Literal["cpu", "cuda"], dict[str, float]]:
    """The Dask resources that a worker of each kind announces."""
    found: dict[Literal["cpu", "cuda"], dict[str, float]] = {}
    if file.cpu is not None:
        found["cpu"] = {CPU: float(file.cpu.tasks)}
    if file.cuda is not None:
        found["cuda"] = {CUDA: 1.0}
    return found
