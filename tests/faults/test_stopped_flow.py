"""A flow that is stopped or killed: its trainings end within a batch, and the next one goes on where they were."""

import signal
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from infra import processes
from tests.faults.conftest import Study
from tests.faults.training_process import until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]


def under_way(nodes: Path) -> list[Path]:
    """States of trainings that have begun and not ended."""
    return sorted(nodes.glob("*/last.safetensors"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_flow_stops_its_trainings_within_a_batch(study: Study, number: signal.Signals) -> None:
    study.cluster.forget()
    nodes = study.cluster.home / "nodes"
    run = study.start(epochs=2000, patience=2000)
    until(lambda: under_way(nodes), 120, f"a training has begun\n{run.said}")
    run.kill(number)
    assert run.ended(60) != 0
    ended = time.monotonic()
    for state in under_way(nodes):
        with processes.locked(state.parent / "lock"):  # held by the training until it ends
            pass
    assert time.monotonic() - ended < 5  # an epoch has 3 batches of 30 ms; 2,000 of them would take ten minutes
    before = {state: state.stat().st_mtime_ns for state in under_way(nodes)}
    time.sleep(3)
    assert before
    assert {state: state.stat().st_mtime_ns for state in under_way(nodes)} == before
    for state in before:
        with safe_open(state, "np") as file:
            assert list(file.keys())
