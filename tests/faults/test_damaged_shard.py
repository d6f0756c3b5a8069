"""A shard of which one byte is another, found by a run that goes on with an earlier one's work."""

import shutil
import signal
import time

import pytest

from tests.faults.conftest import Study
from tests.faults.training_process import until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]


def test_a_damaged_byte_is_found_and_what_was_done_is_kept(study: Study) -> None:
    study.cluster.forget()
    began = time.time()
    run = study.start()
    until(lambda: run.finished_nodes() >= 5, 600, f"5 nodes are trained\n{run.said}")
    run.kill(signal.SIGKILL)
    run.ended()
    done = run.finished_nodes()
    shutil.rmtree(study.cluster.home / "decoded")  # else the pictures are not read again
    shard = next((study.store / "split=train").glob("*.parquet"))
    whole = shard.read_bytes()
    place = len(whole) // 2
    shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        damaged = study.start()
        assert damaged.ended() == 2
        last = damaged.said.strip().splitlines()[-1]
        assert last.startswith("heml: ")
        assert shard.name in last
        assert run.finished_nodes() == done
    finally:
        shard.write_bytes(whole)
    study.check(study.start().outcome(), began)
