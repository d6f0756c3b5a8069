"""A Dask scheduler and its workers as processes of their own, each in the place that `dask` starts it in by hand."""

import os
import socket
import sys
from collections.abc import Mapping

from infra import dask_worker, processes
from infra.settings import Settings
from infra.worker_environment import WORKER_ENVIRONMENT

PREFERRED_PORT = 8786
QUICK_TO_NOTICE = {
    # A worker whose machine is gone says nothing; by default its tasks go elsewhere after five minutes.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60 seconds",
    # What a killed worker was at is done again elsewhere; a task that kills worker after worker is not.
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
}


def free_ports(preferred: int = PREFERRED_PORT) -> tuple[int, int]:
    """Ports on loopback for a scheduler and for its health: Dask takes numbers, not sockets."""
    with processes.listen(preferred) as first, processes.listen(preferred + 1) as second:
        return _number(first), _number(second)


def start_scheduler(settings: Settings, ports: tuple[int, int]) -> processes.Server:
    """Start a scheduler and return at once."""
    port, health = ports
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", processes.LOOPBACK]
    command += [
        "--port",
        str(port),
        "--dashboard-address",
        f"{processes.LOOPBACK}:{health}",
        "--no-show",
        "--no-jupyter",
    ]
    return processes.start(
        "Dask scheduler",
        command,
        environment={**os.environ, **QUICK_TO_NOTICE},
        url=f"tcp://{processes.LOOPBACK}:{port}",
        health=f"http://{processes.LOOPBACK}:{health}/health",
        log=settings.logs / "dask-scheduler.log",
    )


def start_worker(
    settings: Settings,
    name: str,
    scheduler: str,
    *,
    threads: int,
    resources: Mapping[str, float],
    variables: Mapping[str, str],
) -> processes.Server:
    """Start a worker and return at once. Without a nanny: who supervises it starts it again.

    Args:
        settings: where its log goes.
        name: by which the scheduler and the log call it.
        scheduler: the scheduler's address.
        threads: tasks at once, as far as ``resources`` allow.
        resources: what it offers.
        variables: of its environment: Prefect's and ours.
    """
    with processes.listen(0) as listener:
        health = _number(listener)
    offered = " ".join(f"{resource}={amount:g}" for resource, amount in resources.items())
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny", "--name", name]
    command += ["--host", processes.LOOPBACK, "--nthreads", str(threads), "--resources", offered]
    # As in a local cluster: mapped images count as the worker's memory, which Dask would stop it for.
    command += [
        "--memory-limit",
        "0",
        "--local-directory",
        str(settings.home / "dask"),
        "--preload",
        dask_worker.__name__,
    ]
    command += ["--dashboard-address", f"{processes.LOOPBACK}:{health}"]
    return processes.start(
        f"Dask worker {name}",
        command,
        environment={**os.environ, **WORKER_ENVIRONMENT, **QUICK_TO_NOTICE, **variables},
        url=scheduler,
        health=f"http://{processes.LOOPBACK}:{health}/health",
        log=settings.logs / f"dask-worker-{name}.log",
    )


def _number(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])
