"""One line of the benchmark: two things side by side, their ratio, and how far it was to go."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tasks.paired_rounds import Ratio

Direction = Literal["at least", "at most"]


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """A comparison.

    Attributes:
        part: of HEML that is measured.
        against: what stands beside it.
        measure: what the ratio is of, ours to the other's.
        ratio: over the rounds.
        rounds: how many.
        direction, goal: of the ratio.
        ours, theirs: medians of both sides, with their unit; of this machine and this run, for orientation alone.
        setting: what both sides worked on.
    """

    part: str
    against: str
    measure: str
    ratio: Ratio
    rounds: int
    direction: Direction
    goal: float
    ours: str
    theirs: str
    setting: str

    @property
    def reached(self) -> bool:
        """Whether the ratio's median is as good as the goal."""
        return self.ratio.median >= self.goal if self.direction == "at least" else self.ratio.median <= self.goal

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "reached": self.reached}


def counted(value: float) -> Ratio:
    """A ratio that was measured once, or counted: it has no interval."""
    return Ratio(median=value, low=value, high=value)
