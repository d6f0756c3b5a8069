"""A task learns that nobody waits for it, in Prefect's threads and in a Dask worker."""

import time
from pathlib import Path
from uuid import uuid4

import pytest
from distributed import Client, LocalCluster

from infra.stopping import StoppableThreads, stop_signal


def test_outside_of_a_run_nothing_is_stopped() -> None:
    assert stop_signal()() is False


def test_threads_know_that_the_flow_has_ended() -> None:
    with StoppableThreads(max_workers=1) as runner:
        stopped = stop_signal()
        assert stopped() is False
    assert stopped() is True
    assert runner.duplicate() == StoppableThreads(max_workers=1)


def test_a_flow_that_another_calls_ends_alone() -> None:
    with StoppableThreads(max_workers=1) as outer:
        for _ in range(2):
            with outer.duplicate():
                inner = stop_signal()
                assert inner() is False
            assert inner() is True
        around = stop_signal()
        assert around() is False
    assert around() is True
    assert stop_signal()() is False


def until_stopped(begun: str, ended: str) -> None:
    """Works until nobody waits for it, as a training does between two batches."""
    stopped = stop_signal()
    Path(begun).touch()
    deadline = time.monotonic() + 60
    while not stopped() and time.monotonic() < deadline:
        time.sleep(0.01)
    Path(ended).write_text("stopped" if stopped() else "not stopped")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


@pytest.mark.server
@pytest.mark.parametrize("end", ["cancel", "close"])
def test_dask_task_learns_that_its_client_is_gone(tmp_path: Path, end: str) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        client = Client(cluster, set_as_default=False)
        future = client.submit(until_stopped, str(begun), str(ended), key=uuid4().hex)
        wait_for(begun)
        assert not ended.exists()
        if end == "cancel":
            future.cancel()
            wait_for(ended)
        client.close()
        wait_for(ended)
        while not ended.read_text():
            time.sleep(0.01)
        assert ended.read_text() == "stopped"
