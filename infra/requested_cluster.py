"""The cluster of workers that a cluster file asks for: requested by the outermost flow, shared by those it calls."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from distributed import Client

from infra.cluster_file import CPU, ClusterFile, SlurmFile, offers, read_cluster_file
from infra.settings import Settings
from infra.worker_check import are_offered, listed, offered_resources
from tasks.errors import InputError

LOOK_EVERY = 1.0
SAY_EVERY = 60.0


@dataclass
class _Shared:
    cluster: Any
    users: int = 0


_lock = threading.Lock()
_shared: dict[str, _Shared] = {}


def wanted_workers(settings: Settings) -> ClusterFile:
    """The cluster file, fit for these settings.

    Raises:
        InputError: there is none, it is wrong, or its workers do not offer what training asks for.
    """
    if settings.cluster_file is None:
        raise InputError(
            "engine cluster needs a file that says how to ask for workers: set HEML_CLUSTER_FILE, for example to a "
            "copy of infra/clusters/slurm.yaml"
        )
    file = read_cluster_file(settings.cluster_file)
    if file.cuda is not None and settings.device == "auto" and settings.torch_device == "cpu":
        raise InputError(
            f"device auto finds no GPU on this machine, while {settings.cluster_file} asks for workers that have one: "
            "set HEML_DEVICE to cuda or cpu"
        )
    kinds = list(offers(file).values())
    if not are_offered(settings.task_resources, kinds):
        raise InputError(
            f"training asks for {listed(settings.task_resources)}, which no worker of {settings.cluster_file} offers "
            f"(offered: {'; '.join(map(listed, kinds))}): add such workers to the file, or set HEML_DEVICE or "
            "HEML_RESOURCES"
        )
    return file


@contextmanager
def requested_cluster(settings: Settings) -> Iterator[Any]:
    """A Dask cluster whose workers have been asked for; ``wait_for_workers`` tells when there are some.

    Flows that are called within another one share its workers: they would else queue for as many again, while those
    of the outer flow are idle.

    Raises:
        InputError: workers cannot be asked for.
    """
    key = settings.model_dump_json()
    with _lock:
        shared = _shared.get(key)
        if shared is None:
            shared = _shared[key] = _Shared(_request(wanted_workers(settings), settings))
        shared.users += 1
    try:
        yield shared.cluster
    finally:
        with _lock:
            shared.users -= 1
            if not shared.users:
                del _shared[key]
                shared.cluster.close()


def wait_for_workers(client: Client, settings: Settings, say: Callable[[str], object]) -> None:
    """Return once a worker offers what training needs and, where the file asks for such, one offers a CPU.

    Args:
        client: of the requested cluster.
        settings: of the run.
        say: told what is waited for, a line a minute.

    Raises:
        InputError: none came within the file's ``wait_seconds``.
    """
    file = wanted_workers(settings)
    asked = sum(group.count for group in (file.cpu, file.cuda) if group is not None)
    needs: list[Mapping[str, float]] = [settings.task_resources]
    if file.cpu is not None:
        needs.append({CPU: 1.0})
    began = time.monotonic()
    say_at = began
    while missing := [need for need in needs if not are_offered(need, there := offered_resources(client))]:
        now = time.monotonic()
        waited = f"{len(there)} of {asked} workers are there after {now - began:.0f} s"
        lacking = " and ".join(listed(need) for need in missing if need) or "anything"
        if now - began > file.wait_seconds:
            raise InputError(
                f"no worker that offers {lacking} came within {file.wait_seconds:.0f} s ({waited}): look at "
                f"{_queue(file, settings)}, or raise wait_seconds in {settings.cluster_file}"
            )
        if now >= say_at:
            say(f"waiting for a worker that offers {lacking}: {waited}")
            say_at = now + SAY_EVERY
        time.sleep(LOOK_EVERY)


def _request(file: ClusterFile, settings: Settings) -> Any:
    settings.home.mkdir(parents=True, exist_ok=True)
    package = "dask-jobqueue" if isinstance(file, SlurmFile) else "dask-kubernetes"
    try:
        if isinstance(file, SlurmFile):
            from infra.slurm_cluster import SlurmCluster  # noqa: PLC0415 (an optional dependency)

            return SlurmCluster(file, settings)
        from infra.kubernetes_cluster import kubernetes_cluster  # noqa: PLC0415 (as above)
    except ModuleNotFoundError as error:
        raise InputError(
            f"a cluster file of kind {file.kind} needs the package {package}, and the module {error.name} is missing: "
            "install it with `pip install '.[cluster]'` in this project's folder"
        ) from error
    return kubernetes_cluster(file, settings)


def _queue(file: ClusterFile, settings: Settings) -> str:
    """Where to see why no workers come."""
    if isinstance(file, SlurmFile):
        return f"`squeue --me` and the jobs' output in {settings.logs / 'slurm'}"
    return f"`kubectl --namespace {file.namespace} get pods`"
