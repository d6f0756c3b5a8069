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
LARGE = "512m"


@pytest.fixture(params=["300k", "60m"])
def disk(study: Study, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An own, small file system: too small for the pictures, and for the nodes."""
    folder = study.cluster.folder / f"disk-{request.param}"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # workers have its pictures mapped


def test_a_full_disk_is_named_and_what_was_done_is_kept(study: Study, disk: Path) -> None:
    began = time.time()
    run = study.start(home=disk)
    assert run.ended() == 2
    last = run.said.strip().splitlines()[-1]
    assert last.startswith("heml: No space left on device: ")
    assert str(disk) in last
    kept = {path.parent.name: path.stat().st_mtime_ns for path in disk.glob("nodes/*/result.json")}
    assert bool(kept) == (disk.name != "disk-300k")
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(disk)], check=True)
    study.check(study.start(home=disk).outcome(), began)
    assert kept == {name: (disk / "nodes" / name / "result.json").stat().st_mtime_ns for name in kept}
