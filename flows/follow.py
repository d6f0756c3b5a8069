"""What a long task logs, at the terminal while its flow waits for it."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterTaskRunId
from prefect.client.schemas.sorting import LogSort
from prefect.futures import PrefectFuture

from flows.console import at_terminal, show

EVERY = 3.0  # seconds


def follow(future: PrefectFuture[Any]) -> Any:
    """Wait for a task run, and meanwhile show each line that it logs; call it from within a flow run.

    Returns:
        What the task returned.

    Raises:
        Exception: what the task raised, or what became of the cluster that it ran on.
    """
    told = 0
    while at_terminal.get():
        try:
            return future.result(timeout=EVERY)
        except TimeoutError:
            # Prefect's server may be away for a moment: the task goes on, and its lines come later.
            with suppress(httpx.HTTPError, RuntimeError):
                if future.state.is_final():  # it ended just now, or the timeout is the task's own
                    break
                told += _show_after(told, future.task_run_id)
    return future.result()


def _show_after(told: int, task_run: UUID) -> int:
    """Show what a task run has logged after so many lines; returns how many more they are."""
    mine = LogFilter(task_run_id=LogFilterTaskRunId(any_=[task_run]))
    with get_client(sync_client=True) as server:
        logs = server.read_logs(mine, offset=told, sort=LogSort.TIMESTAMP_ASC)
    for log in logs:
        show(log.message)
    return len(logs)
