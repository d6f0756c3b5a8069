"""How a command of `heml` ended, and what it printed."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended: its exit code, and what it wrote to standard output and error."""

    code: int
    out: str
    err: str

    def done(self) -> "Ended":
        """Itself, where it did what was asked."""
        assert self.code == 0, self.err
        return self

    def refused(self, *says: str) -> "Ended":
        """Itself, where it called the input wrong: in one line that says so."""
        assert self.code == 2, self.err
        assert "Traceback" not in self.err, self.err
        assert len(self.err.strip().splitlines()) == 1, self.err
        assert all(words in self.err for words in says), self.err
        return self


Heml = Callable[..., Ended]
"""The fixture `heml`: runs a command with these arguments."""
