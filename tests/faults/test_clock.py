"""A clock that jumps an hour ahead, and two hours back, in the middle of a training."""

from pathlib import Path

import pytest

from tests.faults.conftest import Study, found
from tests.faults.training_process import start_run, until

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian's package faketime)"),
]


def test_a_clock_that_jumps_changes_nothing(study: Study, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0")
    clock = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "HEML_WORKERS": "2",
    }
    run = start_run(tmp_path / "home", study.store, study.tree, tmp_path / "run", clock)
    for after, jump in ((4, "+3600"), (12, "-7200")):
        until(lambda: run.finished_nodes() >= after, 300, f"{after} nodes are trained\n{run.said}")  # noqa: B023 (called at once)
        offset.write_text(jump)
    assert found(run.outcome()) == study.expected
