"""`heml up --profile cluster`: what a cluster has, as processes of this machine, each started again if it ends."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra import dask_processes, mlflow_server, postgres, prefect_server, processes, running
from infra.exposure import Exposure
from infra.private_file import write_private
from infra.runners import TRAININGS_A_GPU
from infra.settings import Settings, gpu_count
from infra.supervisor import Component, Supervisor
from tasks.errors import InputError

SERVICES: tuple[running.Service, ...] = ("prefect", "mlflow")
"""Each has a database of its name."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        prefect: address of Prefect's API.
        mlflow: address of MLflow.
        dask: address of the scheduler.
        variables: environment of what is to use it; kept in ``file``, to be read by a shell.
        file: ``cluster.env`` under the home.
    """

    prefect: str
    mlflow: str
    dask: str
    variables: Mapping[str, str]
    file: Path

    @property
    def prefect_ui(self) -> str:
        """Address of Prefect's user interface."""
        return self.prefect.removesuffix("/api")


@contextmanager
def cluster_up(
    settings: Settings, exposure: Exposure, say: Callable[[str], object]
) -> Iterator[tuple[Cluster, Supervisor]]:
    """PostgreSQL, Prefect's server and MLflow's on it, a Dask scheduler, workers tagged CUDA and workers tagged CPU.

    One worker a GPU, and nothing else on it; without a GPU one that is tagged CUDA and computes on the CPU, so that
    everything is placed as on a cluster.

    Args:
        settings: of this machine.
        exposure: whom Prefect's and MLflow's servers answer; Dask and PostgreSQL answer this machine alone.
        say: told of the end and new start of a component.

    Yields:
        The cluster, and its supervisor, whose ``watch`` keeps it running. All is stopped at the end.

    Raises:
        InputError: servers run for this home already; PostgreSQL is missing.
        ServerError: a component died or did not answer within 120 s.
    """
    supervisor = Supervisor(say)
    file = settings.home / "cluster.env"
    # Held all the time: while a server is started again, nothing else says that one runs for this home.
    with processes.orderly_end(), _alone(settings):
        try:
            with prefect_server.starting(settings), mlflow_server.starting(settings):
                cluster = _start(settings, exposure, supervisor, file)
            _write_private(file, cluster.variables)
            yield cluster, supervisor
        finally:
            file.unlink(missing_ok=True)
            for service in SERVICES:
                running.withdraw(settings, service)
            supervisor.stop()


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the home's lock of `heml up --profile cluster`.

    Raises:
        InputError: another one holds it, or servers of the other profile run.
    """

    def taken(what: str = "its profile cluster") -> None:
        raise InputError(f"`heml up` runs for this home already ({what}): stop it, or give a --home")

    with processes.locked(settings.home / "cluster.lock", taken):
        for service in SERVICES:
            if address := running.running_server(settings, service):
                taken(f"{service} at {address}")
        yield


def _start(settings: Settings, exposure: Exposure, supervisor: Supervisor, file: Path) -> Cluster:
    database = postgres.open_cluster(settings)
    supervisor.start(
        Component(
            partial(postgres.start, database, settings),
            ready=lambda _: postgres.create_databases(database, SERVICES),
        )
    )
    variables = database.client_environment
    ports = dask_processes.free_ports()
    prefect, mlflow, dask = supervisor.start_all(
        [
            Component(
                partial(
                    prefect_server.start_server,
                    settings,
                    exposure,
                    port=_free(prefect_server.PREFERRED_PORT, exposure),
                    database=database.url("prefect", "asyncpg"),
                    variables=variables,
                ),
                ready=partial(running.publish, settings, "prefect"),
            ),
            Component(
                partial(
                    mlflow_server.start_server,
                    settings,
                    exposure,
                    port=_free(mlflow_server.PREFERRED_PORT, exposure),
                    database=database.url("mlflow", "psycopg2"),
                    variables=variables,
                ),
                ready=partial(running.publish, settings, "mlflow"),
            ),
            Component(partial(dask_processes.start_scheduler, settings, ports)),
        ]
    )
    shared = {
        "HEML_HOME": str(settings.home),
        "HEML_ENGINE": "address",
        "HEML_DASK_ADDRESS": dask.url,
        "HEML_MLFLOW_URI": mlflow.url,
        "HEML_DEVICE": settings.torch_device,
        "HEML_THREADS": str(settings.threads),
        "PREFECT_API_URL": prefect.url,
    }
    # A GPU is shared by small nodes; a CPU that stands in for one, or what was set by hand, is not.
    if settings.resources is not None or settings.torch_device == "cpu":
        shared["HEML_RESOURCES"] = json.dumps(settings.resources or {"CUDA": 1})
    supervisor.start_all(
        _workers(settings, dask.url, {**prefect_server.client_environment(settings, prefect.url), **shared})
    )
    return Cluster(prefect.url, mlflow.url, dask.url, shared, file)


def _workers(settings: Settings, scheduler: str, variables: Mapping[str, str]) -> list[Component]:
    gpus = gpu_count() if settings.torch_device == "cuda" else 0
    start = partial(dask_processes.start_worker, settings, scheduler=scheduler)
    # Threads beyond one wait for a fraction of the GPU to be free.
    tagged = [
        partial(
            start,
            f"cuda-{number}",
            threads=TRAININGS_A_GPU,
            resources={"CUDA": 1},
            variables={**variables, **({"CUDA_VISIBLE_DEVICES": str(number)} if gpus else {})},
        )
        for number in range(max(1, gpus))
    ]
    ordinary = partial(start, "cpu-0", threads=2, resources={"CPU": 2}, variables=variables)
    return [Component(worker) for worker in (*tagged, ordinary)]


def _free(preferred: int, exposure: Exposure) -> int:
    """A port that will be kept: clients have to find a server again that was started anew."""
    with processes.listen(preferred, exposure.host) as listener:
        return int(listener.getsockname()[1])


def _write_private(file: Path, variables: Mapping[str, str]) -> None:
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    temporary = file.with_name(f".{file.name}")
    write_private(temporary, "".join(lines))
    temporary.replace(file)
