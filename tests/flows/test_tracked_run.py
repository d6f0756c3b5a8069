"""A flow's run in the tracking store ends as the flow does."""

import pytest
from prefect.exceptions import TerminationSignal

from flows.tracked_run import tracked_run
from infra.tracking import open_tracker
from tasks.errors import InputError
from tests.memory_tracker import MemoryTracker


def tracked(uri: str) -> MemoryTracker:
    tracker = open_tracker(uri)
    assert isinstance(tracker, MemoryTracker)
    return tracker


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(143), "KILLED"),
        (TerminationSignal(15), "KILLED"),
        (InputError("no such store"), "FAILED"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_stopped_is_not_called_failed(error: BaseException, status: str) -> None:
    uri = f"memory:tracked-run-{type(error).__name__}"
    with pytest.raises(type(error)), tracked_run(uri, "drawings", {"size": 32}) as run_id:
        assert tracked(uri).runs[run_id].status == "RUNNING"
        raise error
    assert tracked(uri).runs[run_id].status == status


def test_what_ends_is_finished() -> None:
    with tracked_run("memory:tracked-run", "drawings", {}) as run_id:
        pass
    assert tracked("memory:tracked-run").runs[run_id].status == "FINISHED"
