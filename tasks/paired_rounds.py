"""Two things timed side by side, in turns: what else the machine does then slows both."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio, over the rounds.

    Attributes:
        median: of the rounds' ratios.
        low, high: the median's 95 % interval, free of any distribution; with fewer than six rounds their least and
            greatest, which is less than 95 %.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Seconds of both sides, round by round.

    Attributes:
        ours, theirs: as many of each.
    """

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def speed(self) -> Ratio:
        """How many times faster ours is."""
        return ratio_over([b / a for a, b in zip(self.ours, self.theirs, strict=True)])


def in_turns(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Rounds:
    """Time both so many times, each first in every other round, after one round that is not counted.

    Args:
        ours, theirs: do the same work each time; done when they return.
        rounds: at least 1.
        clock: seconds.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    sides = ((ours, seconds[0]), (theirs, seconds[1]))
    for number in range(rounds + 1):
        for side, taken in sides if number % 2 else sides[::-1]:
            started = clock()
            side()
            taken.append(clock() - started)
    return Rounds(ours=tuple(seconds[0][1:]), theirs=tuple(seconds[1][1:]))


def ratio_over(ratios: Sequence[float]) -> Ratio:
    """Median of one ratio a round, and its interval by order statistics (the sign test turned round)."""
    ordered, outside, tail = sorted(ratios), 0, 0.0
    # The median lies below the (outside + 1)-th least with the probability of at most that many heads.
    while 2 * (tail + math.comb(len(ordered), outside) / 2 ** len(ordered)) <= 1 - CONFIDENCE:
        tail += math.comb(len(ordered), outside) / 2 ** len(ordered)
        outside += 1
    first = max(0, outside - 1)
    return Ratio(median=statistics.median(ordered), low=ordered[first], high=ordered[-1 - first])
