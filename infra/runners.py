"""Which engine runs the tasks: threads of this process, a Dask cluster of this machine or of others."""

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask.config
from dask.base import annotate
from distributed import Client, Nanny, Scheduler, SpecCluster
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.task_runners import TaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from infra import dask_worker, processes
from infra.cluster_file import CPU
from infra.requested_cluster import requested_cluster, wait_for_workers, wanted_workers
from infra.settings import Settings, gpu_count
from infra.stopping import StoppableThreads
from infra.worker_check import are_offered, check_workers, listed, offered_resources
from infra.worker_environment import WORKER_ENVIRONMENT
from tasks.errors import InputError

CONNECT_TIMEOUT = 8.0
"""Seconds for a Dask scheduler to answer."""

TRAININGS_A_GPU = 4
"""At most so many share a GPU: the least that one asks for is a quarter, and quarters add up to 1 exactly."""

SCHEDULING = {
    # Dask would keep the leaves back and take their parents first, to hold few results at a time. Ours are small, and a
    # tree is done sooner when the longest chain goes first.
    "distributed.scheduler.worker-saturation": math.inf
}
"""Of Dask's scheduler, before it starts."""


def task_runner(settings: Settings) -> TaskRunner[Any]:
    """The task runner for a flow, ``my_flow.with_options(task_runner=task_runner(settings))``.

    Call ``check_engine`` before: a Dask cluster that cannot work waits instead of failing.
    """
    if settings.engine == "threads":
        return StoppableThreads(max_workers=settings.worker_count)
    # It tells of a dashboard, which needs a package that is not installed, and of errors that are raised as well.
    logging.getLogger("prefect.task_runner.dask").setLevel(logging.CRITICAL)
    if settings.engine == "address":
        return DaskTaskRunner(address=settings.dask_address)
    if settings.engine == "cluster":
        return DaskTaskRunner(cluster_class=requested_cluster, cluster_kwargs={"settings": settings})  # type: ignore[arg-type]  # a function will do
    offered = {name: max(1.0, amount) for name, amount in settings.task_resources.items()}
    cluster = {
        "environments": _worker_environments(settings),
        "threads": _tasks_at_once(offered, training_needs(settings, share=0.0)),
        "resources": offered,
    }
    return DaskTaskRunner(cluster_class=local_cluster, cluster_kwargs=cluster)  # type: ignore[arg-type]  # a function will do


def local_cluster(
    *, environments: Sequence[Mapping[str, str]], threads: int, resources: Mapping[str, float]
) -> SpecCluster:
    """A Dask cluster of this machine, on loopback: one worker process an environment.

    Args:
        environments: variables of each worker, such as the GPU that it sees.
        threads: tasks at once on a worker, as far as ``resources`` allows.
        resources: what each worker offers.
    """
    common = {
        "host": processes.LOOPBACK,
        "nthreads": threads,
        "resources": dict(resources),
        # The decoded images are mapped into memory and count as the worker's, which Dask would stop and kill for it.
        "memory_limit": 0,
        "dashboard": False,
        "silence_logs": logging.ERROR,
        "preload": [dask_worker.__name__],
    }
    scheduler = {"host": processes.LOOPBACK, "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    logging.getLogger("distributed").setLevel(logging.ERROR)
    workers = {f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in WORKER_ENVIRONMENT.items()}
    with dask.config.set({**SCHEDULING, **workers}):
        return SpecCluster(  # type: ignore[no-untyped-call]  # distributed has types in part only
            scheduler={"cls": Scheduler, "options": scheduler},
            workers={
                number: {"cls": Nanny, "options": {**common, "env": dict(environment)}}
                for number, environment in enumerate(environments)
            },
            silence_logs=logging.ERROR,
        )


def training_resources(
    settings: Settings, share: float = 1.0, chain: float | None = None
) -> AbstractContextManager[Any]:
    """Wrap ``task.submit`` of what trains or evaluates: Dask then places it where its resources are free.

    Args:
        settings: of the run.
        share: as in ``training_needs``.
        chain: the longest chain of trainings that waits for it; a worker takes the one with the longest first.
    """
    asked: dict[str, Any] = {}
    if needs := training_needs(settings, share):
        asked["resources"] = needs
    if chain is not None:
        asked["priority"] = chain
    if settings.engine == "threads" or not asked:
        return nullcontext()
    annotation: AbstractContextManager[Any] = annotate(**asked)
    return annotation


def training_needs(settings: Settings, share: float = 1.0) -> dict[str, float]:
    """Dask resources that a training asks for: on a GPU its share of one, rounded up to quarters.

    Resources that are set by hand are what every training asks for, whatever its share.

    Args:
        settings: of the run.
        share: memory that it needs, relative to a training that has a GPU to itself, in [0, 1].
    """
    if settings.resources is not None:
        return dict(settings.resources)
    part = max(1, math.ceil(share * TRAININGS_A_GPU)) / TRAININGS_A_GPU
    return {name: amount * part for name, amount in settings.task_resources.items()}


def whole_gpu(settings: Settings, share: float) -> Settings | None:
    """Settings whose trainings ask for a whole GPU each; None if a training of this share asked for no less before."""
    needs = training_needs(settings, share)
    if settings.engine == "threads" or not needs.get("CUDA", 1.0) < 1.0:
        return None
    return settings.model_copy(update={"resources": {**needs, "CUDA": 1.0}})


def ordinary_resources(settings: Settings) -> AbstractContextManager[Any]:
    """Wrap ``task.submit`` of what needs no GPU: it stays away from workers that have one, where there are others.

    Dask holds back only what asks for a resource. So workers without a GPU offer ``CPU``, and such tasks ask for it.

    Raises:
        InputError: the scheduler at ``dask_address`` does not answer.
    """
    if settings.engine == "cluster":
        offered = wanted_workers(settings).cpu is not None
    elif settings.engine == "address":
        with _connected(settings) as client:
            offered = any(CPU in offer for offer in offered_resources(client))
    else:
        offered = False
    return annotate(resources={CPU: 1.0}) if offered else nullcontext()


def check_engine(settings: Settings, say: Callable[[str], object] | None = None) -> None:
    """Find out now what a Dask engine would wait for in vain. Call it inside ``prefect_server``.

    With engine ``cluster`` and within a flow run, also ask for the workers and wait until the first ones are there.

    Args:
        settings: of the run.
        say: told what is waited for; by default the run's log.

    Raises:
        InputError: no Prefect server for the workers; no address, or no scheduler that answers there within 8 s; no
            cluster file, a wrong one, or nobody who gives the workers in time; no worker; a resource that no worker
            offers; a worker that lacks this project, does not reach the server or does not see the home.
    """
    if settings.engine == "threads":
        return
    server = os.environ.get("PREFECT_API_URL")
    if not server:
        raise InputError(
            "the Dask engine needs a Prefect server that its workers can reach: start one with `heml up`, "
            "or set PREFECT_API_URL"
        )
    if settings.engine == "address":
        with _connected(settings) as client:
            _check_scheduler(client, settings, server)
    if settings.engine == "cluster":
        wanted_workers(settings)
        # The outermost flow asks for the workers, so that the flows it calls find them.
        context = FlowRunContext.get()
        if context is not None and isinstance(context.task_runner, DaskTaskRunner):
            wait_for_workers(context.task_runner.client, settings, say or get_run_logger().info)
            check_workers(context.task_runner.client, str(settings.cluster_file), server, settings.home)


def _connected(settings: Settings) -> Client:
    address = settings.dask_address
    if not address:
        raise InputError("engine address needs the address of a Dask scheduler: set HEML_DASK_ADDRESS=tcp://HOST:8786")
    try:
        return Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]  # distributed has types in part only
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} (HEML_DASK_ADDRESS): start one with `dask scheduler`, or use "
            "engine local"
        ) from error
    except TypeError as error:
        raise InputError(
            f"the Dask scheduler at {address} (HEML_DASK_ADDRESS) wants a certificate: set "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, and CLIENT__CERT and CLIENT__KEY in place of CA_FILE"
        ) from error


def _check_scheduler(client: Client, settings: Settings, server: str) -> None:
    address, needs = settings.dask_address, settings.task_resources
    offers = offered_resources(client)
    if not offers:
        raise InputError(
            f"the Dask scheduler at {address} has no worker: start one with `dask worker {address}{_option(needs)}`"
        )
    if not are_offered(needs, offers):
        those = "; ".join(sorted({listed(offer) for offer in offers}))
        raise InputError(
            f"training asks for {listed(needs)}, which no worker of {address} offers (offered: {those}): start "
            f"one with `dask worker {address}{_option(needs)}`, or set HEML_RESOURCES"
        )
    check_workers(client, str(address), server, settings.home)


def _worker_environments(settings: Settings) -> list[dict[str, str]]:
    """One a worker; with GPUs, workers take turns on them and each sees one."""
    if settings.torch_device == "cpu":
        return [{} for _ in range(settings.worker_count)]
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = given.split(",") if given else [str(number) for number in range(gpu_count())]
    return [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} for number in range(settings.worker_count)]


def _tasks_at_once(offered: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many tasks a worker's resources let in; 1 where nothing is asked for."""
    return min((math.floor(offered[name] / amount) for name, amount in needs.items()), default=1)


def _option(resources: Mapping[str, float]) -> str:
    return f' --resources "{listed(resources)}"' if resources else ""
