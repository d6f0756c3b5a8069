"""A clock that jumps an hour ahead, and then back by two, in the middle of a training and in all of its processes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import Study, found
from tests.faults.training_process import start_run, until

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        shutil.which("cc") is None, reason="needs a C compiler (cc), to stand before the system's clock"
    ),
]


def set_ahead(offset: Path, seconds: int) -> None:
    """Move the clock, at once."""
    written = offset.with_suffix(".new")
    written.write_text(str(seconds))
    written.replace(offset)


def test_a_clock_that_jumps_changes_nothing(study: Study, tmp_path: Path) -> None:
    library, offset = tmp_path / "jumping_clock.so", tmp_path / "offset"
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    set_ahead(offset, 0)
    clock = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset), "HEML_WORKERS": "2", "HEML_DEVICE": "cpu"}
    run = start_run(tmp_path / "home", study.store, study.tree, tmp_path / "run", clock)
    for after, seconds in ((4, 3600), (12, -3600)):
        until(lambda: run.finished_nodes() >= after or run.process.poll() is not None, 300, run.said)  # noqa: B023 (called at once)
        assert run.process.poll() is None, run.said
        set_ahead(offset, seconds)
        shown = subprocess.check_output(["date", "+%s"], env={**os.environ, **clock})
        real = subprocess.check_output(["date", "+%s"])
        assert abs(int(shown) - int(real) - seconds) <= 2  # it did jump
    assert found(run.outcome()) == study.expected
