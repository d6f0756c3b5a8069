"""A node has one run in the tracking store, whatever happens to its worker."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import InputError, Stopped
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import Subject, background_control
from tasks.node_tracking import OPEN, close_failed, close_finished, close_run, open_run
from tasks.segments.store import SegmentStore
from tasks.training_run import TrainingRun
from tests.memory_tracker import MemoryTracker


@pytest.fixture
def subject(options: TrainingOptions) -> Subject:
    return background_control(options)


def a_run(parent: str, store: SegmentStore) -> TrainingRun:
    return TrainingRun(
        store=str(store.path),
        tree={},
        options={},
        nodes="",
        decoded="",
        tracking="memory:node-tracking",
        experiment="drawings",
        parent_run_id=parent,
    )


def test_killed_try_is_gone_on_with_and_another_flow_closes_it(
    store: SegmentStore, subject: Subject, tmp_path: Path
) -> None:
    tracker = MemoryTracker()
    job = NodeJob(node="x", key="k", folder=tmp_path / "k", options=subject.options)

    def opened(parent: str) -> str:
        return open_run(tracker, a_run(parent, store), subject, job, store, {"segments": "a"}, {"level": "0"})

    first = opened("flow-1")
    assert opened("flow-1") == first  # its worker was killed, the task done again
    second = opened("flow-2")
    assert second != first
    assert (tracker.runs[first].status, tracker.runs[second].status) == ("KILLED", "RUNNING")
    assert tracker.runs[second].parent_run_id == "flow-2"
    assert tracker.runs[second].params["key"] == "k"
    close_run(tracker, second, job.folder, "FINISHED")
    assert tracker.runs[second].status == "FINISHED"
    assert not (job.folder / OPEN).exists()
    third = opened("flow-2")
    assert third not in {first, second}


class Away(MemoryTracker):
    """A store that takes nothing now."""

    def settle(self, patience: float = 10.0) -> bool:
        return False


def test_an_end_that_has_not_arrived_is_told_again(store: SegmentStore, subject: Subject, tmp_path: Path) -> None:
    tracker = Away()
    job = NodeJob(node="x", key="k", folder=tmp_path / "k", options=subject.options)
    opened = open_run(tracker, a_run("flow-1", store), subject, job, store, {}, {})
    close_run(tracker, opened, job.folder, "FINISHED")
    assert (job.folder / OPEN).exists()
    back = MemoryTracker()
    back.runs[opened] = replace(tracker.runs[opened], status="RUNNING")
    close_finished(back, job.folder, "memory:elsewhere")
    assert back.runs[opened].status == "RUNNING"
    close_finished(back, job.folder, "memory:node-tracking")
    assert back.runs[opened].status == "FINISHED"
    assert not (job.folder / OPEN).exists()


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (Stopped("'x' was stopped in epoch 3"), "KILLED", ("stopped", "'x' was stopped in epoch 3")),
        (InputError("the weights\nw.pt do not fit"), "FAILED", ("failed", "the weights w.pt do not fit")),
        (MemoryError(), "FAILED", ("failed", "MemoryError")),
    ],
)
def test_a_run_that_fails_says_why(
    store: SegmentStore, subject: Subject, tmp_path: Path, error: Exception, status: str, says: tuple[str, str]
) -> None:
    tracker = MemoryTracker()
    job = NodeJob(node="x", key="k", folder=tmp_path / "k", options=subject.options)
    opened = open_run(tracker, a_run("flow-1", store), subject, job, store, {}, {})
    close_failed(tracker, opened, job.folder, error)
    assert tracker.runs[opened].status == status
    assert (tracker.runs[opened].tags["status"], tracker.runs[opened].tags["reason"]) == says


def test_a_run_whose_note_cannot_be_kept_is_closed(store: SegmentStore, subject: Subject, tmp_path: Path) -> None:
    tracker = MemoryTracker()
    (tmp_path / "k").write_text("a file where the folder should be")
    job = NodeJob(node="x", key="k", folder=tmp_path / "k", options=subject.options)
    with pytest.raises(FileExistsError):
        open_run(tracker, a_run("flow-1", store), subject, job, store, {}, {})
    [run] = tracker.runs.values()
    assert run.status == "FAILED"


@pytest.mark.parametrize("content", ["", "[]", '{"run": 1}', '{"tracking": "elsewhere", "parent": "p", "run": "r"}'])
def test_damaged_or_foreign_note_is_left_alone(
    store: SegmentStore, subject: Subject, tmp_path: Path, content: str
) -> None:
    tracker = MemoryTracker()
    (tmp_path / OPEN).write_text(content)
    job = NodeJob(node="x", key="k", folder=tmp_path, options=subject.options)
    assert open_run(tracker, a_run("p", store), subject, job, store, {}, {}) in tracker.runs
