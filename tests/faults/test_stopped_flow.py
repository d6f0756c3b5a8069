"""A flow that is stopped or killed: its trainings end within a batch, and their last epoch is kept."""

import json
import signal
import time
from pathlib import Path

import pytest

from infra import processes
from tasks.metric.checkpoint import read_metadata
from tests.faults.conftest import Study
from tests.faults.training_process import until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]


def epochs(state: Path) -> int:
    """How many a training has done."""
    done: int = json.loads(read_metadata(state)["progress"])["next_epoch"]
    return done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_stopped_flow_stops_its_trainings_within_a_batch(study: Study, number: signal.Signals) -> None:
    study.cluster.forget()
    run = study.start(epochs=20_000, patience=20_000, batch=4)  # more than 20 batches an epoch, an hour in all
    until(run.under_way, 120, f"a training has begun\n{run.said}")
    run.kill(number)
    assert run.ended(60) != 0
    at_the_end = {state: epochs(state) for state in run.under_way()}
    assert at_the_end
    for state in at_the_end:
        with processes.locked(state.parent / "lock"):  # held by the training until it ends
            pass
    stopped = {state: epochs(state) for state in run.under_way()}
    # Who killed the flow is a moment ahead of the scheduler, which sees its connection end: an epoch may end meanwhile.
    assert all(stopped[state] - done <= 1 for state, done in at_the_end.items())
    time.sleep(3)
    assert {state: epochs(state) for state in run.under_way()} == stopped
