import itertools

import pytest
from scipy.stats import binom

from tasks.paired_rounds import CONFIDENCE, Ratio, in_turns, ratio_over


@pytest.mark.parametrize("n", [1, 2, 5, 6, 8, 9, 12, 25, 100])
def test_the_interval_is_the_narrowest_pair_of_ordered_rounds_that_covers_95_percent(n: int) -> None:
    found = ratio_over([float(number) for number in reversed(range(n))])
    # The median of what the rounds are drawn from is below the i-th least with the chance of fewer than i heads of n.
    covered = [1 - 2 * binom.cdf(outside, n, 0.5) for outside in range((n + 1) // 2)]
    narrowest = max((outside for outside, share in enumerate(covered) if share >= CONFIDENCE), default=0)
    assert found == Ratio(median=(n - 1) / 2, low=narrowest, high=n - 1 - narrowest)


def test_each_side_is_first_in_every_other_round_and_the_first_round_is_not_counted() -> None:
    calls: list[str] = []
    # Each look at the clock: ours takes 1, 2, 3 ... seconds, theirs 10 times as long.
    lasted = {"ours": itertools.count(1), "theirs": itertools.count(10, 10)}
    now = [0.0]

    def side(name: str) -> None:
        calls.append(name)
        now[0] += next(lasted[name])

    rounds = in_turns(lambda: side("ours"), lambda: side("theirs"), 3, clock=lambda: now[0])
    assert calls == ["theirs", "ours", "ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert rounds.ours == (2, 3, 4)
    assert rounds.theirs == (20, 30, 40)
    assert rounds.speed == Ratio(median=10, low=10, high=10)
