"""What the watch sees of memory that is held for a while, by this process and by one that it starts."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

from infra.memory_watch import INTERVAL, Memory, MemoryWatch, memory_of

MIB = 1 << 20
# Holds 96 MiB, says so, and waits to be told to end.
CHILD = "import sys; held = b'x' * (96 << 20); print(flush=True); sys.stdin.readline()"


def until_seen(watch: MemoryWatch, anonymous: int) -> None:
    """Wait until the watch has looked: as long as it takes, the test's timeout is the limit."""
    while watch.peak.anonymous < anonymous:
        watch._end.wait(INTERVAL)


def test_peak_of_this_process_stays_when_the_memory_is_gone() -> None:
    before = memory_of(os.getpid()).anonymous
    with MemoryWatch() as watch:
        held = b"x" * (96 * MIB)
        until_seen(watch, before + 90 * MIB)
        del held
    assert watch.own_peak.anonymous >= before + 90 * MIB
    assert memory_of(os.getpid()).anonymous < before + 48 * MIB


def test_a_started_process_counts_but_is_not_ours() -> None:
    with MemoryWatch() as watch, subprocess.Popen([sys.executable, "-c", CHILD], stdin=-1, stdout=-1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        until_seen(watch, memory_of(os.getpid()).anonymous + 90 * MIB)
        child.stdin.close()
    assert watch.peak.anonymous >= watch.own_peak.anonymous + 90 * MIB


def test_pages_of_a_mapped_file_are_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "pictures"
    path.write_bytes(b"x" * (96 * MIB))
    before = memory_of(os.getpid())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert sum(pages[start] for start in range(0, len(pages), mmap.PAGESIZE)) == ord("x") * (96 * MIB // 4096)
        now = memory_of(os.getpid())
    assert now.files >= before.files + 90 * MIB
    assert now.anonymous < before.anonymous + 48 * MIB


def test_a_process_that_is_gone_has_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert memory_of(child.pid) == Memory(anonymous=0, files=0)
