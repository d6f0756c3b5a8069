"""A disk that is full in the middle of a training."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Study

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system of a few MB, which only root may"),
]
SMALL, LARGE = "8m", "256m"


@pytest.fixture
def disk(study: Study) -> Iterator[Path]:
    """An own, small file system."""
    folder = study.cluster.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_what_was_done_is_kept(study: Study, disk: Path) -> None:
    began = time.time()
    run = study.start(home=disk)
    assert run.ended() == 2
    last = run.said.strip().splitlines()[-1]
    assert last.startswith("heml: No space left on device: ")
    assert str(disk) in last
    kept = {path.parent.name: path.stat().st_mtime_ns for path in disk.glob("nodes/*/result.json")}
    assert kept
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(disk)], check=True)
    study.check(study.start(home=disk).outcome(), began)
    assert kept == {name: (disk / "nodes" / name / "result.json").stat().st_mtime_ns for name in kept}
