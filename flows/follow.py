"""What a long task logs, at the terminal while its flow waits for it."""

from typing import Any

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
        Exception: what the task raised.
    """
    told = set()
    with get_client(sync_client=True) as server:
        mine = LogFilter(task_run_id=LogFilterTaskRunId(any_=[future.task_run_id]))
        while at_terminal.get():
            future.wait(timeout=EVERY)
            if future.state.is_final():
                break
            for log in server.read_logs(mine, sort=LogSort.TIMESTAMP_ASC):
                if log.id not in told:
                    show(log.message)
                told.add(log.id)
    return future.result()
