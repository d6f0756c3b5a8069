"""A flow's own run in the tracking store: opened, then closed as finished, failed or stopped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from infra.tracking import open_tracker

STOPPED = (KeyboardInterrupt, SystemExit, TerminationSignal)  # Ctrl-C, SIGTERM, and a cancellation in Prefect's UI


@contextmanager
def tracked_run(uri: str, experiment: str, params: Mapping[str, Any]) -> Iterator[str]:
    """The id of a run named after the flow's.

    Args:
        uri: address of the tracking store.
        experiment: its name; one a data set.
        params: of the run.

    Raises:
        InputError: the store does not answer.
    """
    tracker = open_tracker(uri)
    tracker.prepare(experiment)
    tags = {"prefect.flow_run_id": str(flow_run.get_id())}
    run_id = tracker.start_run(experiment, str(flow_run.get_name()), params=params, tags=tags)
    try:
        yield run_id
    except BaseException as error:
        tracker.end_run(run_id, "KILLED" if isinstance(error, STOPPED) else "FAILED")
        raise
    tracker.end_run(run_id, "FINISHED")
