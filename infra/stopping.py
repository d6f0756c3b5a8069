"""Whether the run that a task works for is still there: neither Prefect nor Dask can interrupt a thread that computes.

A flow that was cancelled in Prefect's UI, stopped by Ctrl-C or killed closes its connection to the Dask scheduler,
which then gives its tasks up. What trains asks between two batches and ends by itself.
"""

from collections.abc import Callable
from contextvars import ContextVar
from threading import Event
from types import TracebackType
from typing import Any

from distributed import get_worker
from prefect.task_runners import ThreadPoolTaskRunner

_AT_WORK = {"executing", "long-running"}
_ended: ContextVar[Event | None] = ContextVar("ended", default=None)


class StoppableThreads(ThreadPoolTaskRunner[Any]):
    """Prefect's threads, which know when the flow has ended; a flow's end waits for them."""

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers=max_workers)
        self._end = Event()
        self._outer: Event | None = None

    def __enter__(self) -> "StoppableThreads":
        self._outer, self._end = _ended.get(), Event()
        _ended.set(self._end)  # tasks run in copies of this context
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        super().__exit__(kind, error, trace)
        _ended.set(self._outer)


def stop_signal() -> Callable[[], bool]:
    """For the task of this thread: whether nobody waits for its result any more. Takes microseconds."""
    try:
        worker = get_worker()
        key = worker.get_current_task()
    except (ValueError, AttributeError, KeyError):
        end = _ended.get()
        return end.is_set if end is not None else lambda: False

    def given_up() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in _AT_WORK

    return given_up
