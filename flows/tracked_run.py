"""A flow's own run in the tracking store."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect.runtime import flow_run

from infra.tracking import open_tracker


@contextmanager
def tracked_run(tracking: str, experiment: str, params: Mapping[str, Any]) -> Iterator[str]:
    """The run's id; the run is opened here, and closed as finished or failed.

    Args:
        tracking: address of the tracking store.
        experiment: the data set's name.
        params: to log.

    Raises:
        InputError: the store does not answer.
    """
    tracker = open_tracker(tracking)
    tracker.prepare(experiment)
    run_id = tracker.start_run(
        experiment,
        str(flow_run.get_name()),
        params=params,
        tags={"prefect.flow_run_id": str(flow_run.get_id())},
    )
    try:
        yield run_id
    except BaseException:
        tracker.end_run(run_id, "FAILED")
        raise
    tracker.end_run(run_id, "FINISHED")
