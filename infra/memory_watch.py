"""How much memory a process and all that it started use at most, while a stretch of work runs.

Anonymous memory is what the work itself holds. Pages of mapped files, such as the decoded pictures, are counted apart:
the kernel takes them back when memory is wanted.
"""

import threading
from dataclasses import dataclass
from types import TracebackType

import psutil  # type: ignore[import-untyped]  # its wheel has no types

INTERVAL = 0.05  # seconds between two looks


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of some processes at a moment, or the most of each kind over a time, bytes.

    Attributes:
        anonymous: what they hold themselves.
        files: pages of mapped files; a page that two processes map counts twice.
    """

    anonymous: int
    files: int


class MemoryWatch:
    """Looks at the memory of this process and of its descendants, every 0.05 s, from entering to leaving. Linux only.

    `peak` is the most of their sum; `own_peak` of this process alone.
    """

    def __init__(self) -> None:
        self.peak = self.own_peak = Memory(anonymous=0, files=0)
        self._process = psutil.Process()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._end.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        own = memory_of(self._process.pid)
        others = [memory_of(child.pid) for child in self._process.children(recursive=True)]
        total = Memory(
            anonymous=own.anonymous + sum(one.anonymous for one in others),
            files=own.files + sum(one.files for one in others),
        )
        self.peak, self.own_peak = _most(self.peak, total), _most(self.own_peak, own)


def memory_of(pid: int) -> Memory:
    """Of a process now; nothing if it has ended."""
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.Error:
        return Memory(anonymous=0, files=0)
    return Memory(anonymous=info.rss - info.shared, files=info.shared)


def _most(one: Memory, other: Memory) -> Memory:
    return Memory(anonymous=max(one.anonymous, other.anonymous), files=max(one.files, other.files))
