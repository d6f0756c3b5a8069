"""A run that outlives an outage: Dask's scheduler or workers, Prefect's server or MLflow's end and come back.

What a run has finished is kept by its identity, so that its body can simply be done again.
"""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import ExitStack
from itertools import count
from typing import TypeVar

import httpx
from distributed import KilledWorker
from distributed.comm.core import CommClosedError
from prefect.context import FlowRunContext
from prefect.exceptions import CrashedRun, PrefectHTTPStatusError
from prefect_dask.task_runners import DaskTaskRunner

from infra import mlflow_server
from infra.prefect_server import existing_server
from infra.runners import check_engine
from infra.settings import Settings
from tasks.errors import InputError

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that a run waits for what went to come back."""
OUTAGES = 8
"""So many are outlived by one run."""


def outlive_outages(work: Callable[[], T], settings: Settings, say: Callable[[str], object]) -> T:
    """Do the work; where a part of the cluster went meanwhile, wait until it is back and do it again.

    Call it in a flow. Work that is done again submits its tasks to a new connection.

    Args:
        work: may be done several times; what was finished before is found and not done again.
        settings: of the run.
        say: told of each outage, one line.

    Raises:
        InputError: what went did not come back within 300 s.
        Exception: what the work raised, if it was no outage, or the ninth.
    """
    killers = 0
    with ExitStack() as connection:
        for outage in count():
            try:
                return work()
            except Exception as error:
                # Where the workers of one task die one after the other, it may be the cause: once more, and no more.
                is_killer = isinstance(error, KilledWorker)
                killers += is_killer
                if outage == OUTAGES or not (killers == 1 if is_killer else is_outage(error)):
                    raise
                say(f"a part of the cluster was lost ({_line(error)}); what is finished is kept, the rest waits for it")
            _wait(settings)
            connection.close()
            _reconnect(connection, settings)
    raise AssertionError("the loop ends by returning or raising")


def is_outage(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that Dask, Prefect's server or MLflow's went."""
    while error is not None:
        if isinstance(error, (CancelledError, CommClosedError, CrashedRun, httpx.TransportError)):
            return True
        if isinstance(error, PrefectHTTPStatusError) and error.response.status_code >= 500:
            return True
        if isinstance(error, RuntimeError) and "Failed to reach API" in str(error):
            return True
        if type(error).__module__.partition(".")[0] in {"mlflow", "requests"} and _is_of_mlflow(error):
            return True
        if isinstance(error, OSError) and "Timed out trying to connect" in str(error):  # Dask's, to its scheduler
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_of_mlflow(error: BaseException) -> bool:
    from infra.mlflow_backlog import is_outage as of_mlflow  # noqa: PLC0415 (MLflow takes seconds, and is loaded here)

    return of_mlflow(error)


def _reconnect(connection: ExitStack, settings: Settings) -> None:
    """A new client of the scheduler for all that is submitted from now on; a local cluster lives with the flow."""
    context = FlowRunContext.get()
    if context is not None and isinstance(context.task_runner, DaskTaskRunner) and settings.engine != "local":
        runner = connection.enter_context(context.task_runner.duplicate())  # type: ignore[no-untyped-call]  # prefect-dask's has no types
        connection.enter_context(context.model_copy(update={"task_runner": runner}))


def _wait(settings: Settings) -> None:
    """Return when the engine and both servers can be used again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            check_engine(settings)
            existing_server(settings)
            mlflow_server.existing_server(settings)
        except Exception as error:
            gone = isinstance(error, (InputError, OSError)) or is_outage(error)
            if not gone or time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        else:
            return


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:200]
