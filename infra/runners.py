"""Which engine runs the tasks: threads of this process, a Dask cluster of this machine, or a Dask scheduler."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask.config
from dask.base import annotate
from distributed import Client, Nanny, Scheduler, SpecCluster
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from infra import dask_worker, processes
from infra.settings import Settings, gpu_count
from tasks.errors import InputError

CONNECT_TIMEOUT = 8.0
"""Seconds for a Dask scheduler to answer."""

WORKER_ENVIRONMENT = {
    # Dask has freed memory given back at once (64 KiB). Torch then asks the kernel for every batch's buffers anew,
    # which made a training step on a CPU three times slower.
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
"""Of Dask workers, before they start."""


def task_runner(settings: Settings) -> TaskRunner[Any]:
    """The task runner for a flow, ``my_flow.with_options(task_runner=task_runner(settings))``.

    Call ``check_engine`` before: a Dask cluster that cannot work waits instead of failing.
    """
    if settings.engine == "threads":
        return ThreadPoolTaskRunner(max_workers=settings.worker_count)
    # It tells of a dashboard, which needs a package that is not installed.
    logging.getLogger("prefect.task_runner.dask").setLevel(logging.WARNING)
    if settings.engine == "address":
        return DaskTaskRunner(address=settings.dask_address)
    offered = {name: max(1.0, amount) for name, amount in settings.task_resources.items()}
    cluster = {
        "environments": _worker_environments(settings),
        "threads": _tasks_at_once(offered, settings.task_resources),
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
    with dask.config.set({f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in WORKER_ENVIRONMENT.items()}):
        return SpecCluster(  # type: ignore[no-untyped-call]  # distributed has types in part only
            scheduler={"cls": Scheduler, "options": scheduler},
            workers={
                number: {"cls": Nanny, "options": {**common, "env": dict(environment)}}
                for number, environment in enumerate(environments)
            },
            silence_logs=logging.ERROR,
        )


def training_resources(settings: Settings) -> AbstractContextManager[Any]:
    """Wrap ``task.submit`` of what trains or evaluates: Dask then places it where its resources are free."""
    if settings.engine == "threads" or not settings.task_resources:
        return nullcontext()
    annotation: AbstractContextManager[Any] = annotate(resources=settings.task_resources)
    return annotation


def check_engine(settings: Settings) -> None:
    """Find out now what a Dask engine would wait for in vain. Call it inside ``prefect_server``.

    Raises:
        InputError: no Prefect server for the workers; no address, or no scheduler that answers there within 8 s; no
            worker; a resource that no worker offers; a worker that lacks this project or does not reach the server.
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
        if not settings.dask_address:
            raise InputError(
                "engine address needs the address of a Dask scheduler: set HEML_DASK_ADDRESS=tcp://HOST:8786"
            )
        _check_scheduler(settings.dask_address, settings.task_resources, server)


def _check_scheduler(address: str, needs: Mapping[str, float], server: str) -> None:
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]  # as above
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} (HEML_DASK_ADDRESS): start one with `dask scheduler`, or use "
            "engine local"
        ) from error
    with client:
        offers = [dict(worker["resources"]) for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
        if not offers:
            raise InputError(
                f"the Dask scheduler at {address} has no worker: start one with `dask worker {address}{_option(needs)}`"
            )
        if not any(all(offer.get(name, 0) >= amount for name, amount in needs.items()) for offer in offers):
            listed = "; ".join(sorted({_listed(offer) for offer in offers}))
            raise InputError(
                f"training asks for {_listed(needs)}, which no worker of {address} offers (offered: {listed}): start "
                f"one with `dask worker {address}{_option(needs)}`, or set HEML_RESOURCES"
            )
        try:
            reached = client.run(processes.answers, f"{server}/health")
        except ModuleNotFoundError as error:
            raise InputError(
                f"workers of {address} lack the module {error.name}: install this project where they run"
            ) from error
        if lost := sorted(worker for worker, reaches in reached.items() if not reaches):
            raise InputError(
                f"the Dask worker {lost[0]} does not reach the Prefect server at {server}: set PREFECT_API_URL to an "
                "address that all workers reach"
            )


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


def _listed(resources: Mapping[str, float]) -> str:
    return ",".join(f"{name}={amount:g}" for name, amount in sorted(resources.items())) or "nothing"


def _option(resources: Mapping[str, float]) -> str:
    return f' --resources "{_listed(resources)}"' if resources else ""
