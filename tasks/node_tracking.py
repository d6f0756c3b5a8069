"""A node's run in the tracking store: opened once, gone on with after a crash, closed for good or as what it was."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from prefect.runtime import flow_run, task_run

from infra.run_status import RunStatus
from infra.tracking import Tracker
from tasks.errors import InputError, Stopped, reason_of
from tasks.metric.node_job import NodeJob
from tasks.metric.subject import Subject
from tasks.segments.store import SegmentStore
from tasks.training_run import TrainingRun

OPEN = "tracking.json"
"""In the node's folder while its run is open: a worker that was killed leaves it behind."""


def open_run(
    tracker: Tracker,
    run: TrainingRun,
    subject: Subject,
    job: NodeJob,
    store: SegmentStore,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> str:
    """The run to track a node in: the one that an earlier try of the same flow left open, or a new one.

    One that another flow left open is closed as KILLED. Call it with the node's lock held.

    Args:
        tracker: of the store.
        run: what all nodes share.
        subject: what is trained.
        job: its training.
        store: the data.
        params: of the run, beside the options.
        tags: of the run.

    Returns:
        What the tracker calls the run by.
    """
    if left := _left_open(job.folder, run.tracking):
        if left["parent"] == run.parent_run_id:
            return left["run"]
        tracker.end_run(left["run"], "KILLED")
    opened = tracker.start_run(
        run.experiment,
        subject.name,
        parent_run_id=run.parent_run_id,
        params={**asdict(subject.options), **params, "key": job.key},
        tags={
            "node": subject.name,
            "prefect.flow_run_id": str(flow_run.get_id() or ""),
            "prefect.task_run_id": str(task_run.get_id() or ""),
            **tags,
        },
    )
    tracker.log_dataset_input(opened, run.experiment, store.digest, run.store)
    if known := tracker.run_id(opened):
        facts = {"tracking": run.tracking, "parent": run.parent_run_id, "run": known}
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
            (job.folder / OPEN).write_text(json.dumps(facts), encoding="utf-8")
        except OSError:
            tracker.end_run(opened, "FAILED")
            raise
    return opened


def close_run(tracker: Tracker, opened: str, folder: Path, status: RunStatus) -> None:
    """Close a node's run.

    Args:
        tracker: of the store.
        opened: what `open_run` gave.
        folder: the node's.
        status: how it ended.
    """
    tracker.end_run(opened, status)
    if tracker.settle():  # else a later flow closes it
        (folder / OPEN).unlink(missing_ok=True)


def close_failed(tracker: Tracker, opened: str, folder: Path, error: BaseException) -> None:
    """Close the run of a node that was stopped or failed, with the reason as a tag.

    Args:
        tracker, opened, folder: as for `close_run`.
        error: what ended it.
    """
    stopped = isinstance(error, Stopped)
    reason = str(error) if isinstance(error, InputError) else reason_of(error)
    tracker.set_tags(opened, {"status": "stopped" if stopped else "failed", "reason": reason})
    close_run(tracker, opened, folder, "KILLED" if stopped else "FAILED")


def close_finished(tracker: Tracker, folder: Path, tracking: str) -> None:
    """Close the run of a node that is finished, if its end did not reach the tracking store."""
    if left := _left_open(folder, tracking):
        close_run(tracker, left["run"], folder, "FINISHED")


def _left_open(folder: Path, tracking: str) -> dict[str, str] | None:
    """What `open_run` noted of a run in this tracking store that was never closed."""
    try:
        facts = json.loads((folder / OPEN).read_text(encoding="utf-8"))
        return {name: str(facts[name]) for name in ("parent", "run")} if facts["tracking"] == tracking else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
