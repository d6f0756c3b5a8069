import numpy as np
import pytest

from tasks.bias.gap import LEAST_PHOTOS, gap_and_resampled, gap_difference

LABELS = ["x"] * 30 + ["y"] * 30
GROUPS = (["old"] * 20 + ["young"] * 10) * 2


def shares(seed: int, rates: tuple[float, ...] = (0.9, 0.4, 0.8, 0.7)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.concatenate([
        (generator.random(count) < rate).astype(np.float64) for count, rate in zip((20, 10, 20, 10), rates, strict=True)
    ])  # fmt: skip


def by_hand(values: np.ndarray) -> float:
    cells: dict[tuple[str, str], list[float]] = {}
    for value, label, group in zip(values.tolist(), LABELS, GROUPS, strict=True):
        cells.setdefault((label, group), []).append(value)
    return float(np.mean(values)) - min(sum(own) / len(own) for own in cells.values())


def test_the_gap_is_that_of_the_worst_cell() -> None:
    one, other = shares(0), shares(1)
    gaps, resampled = gap_and_resampled([one, other], LABELS, GROUPS)
    assert gaps.tolist() == pytest.approx([by_hand(one), by_hand(other)])
    assert resampled.shape == (1000, 2)
    assert resampled[:, 0].std() > 0.03


def test_a_cell_of_few_photos_cannot_be_the_worst() -> None:
    few = LEAST_PHOTOS - 1
    labels = ["x"] * (10 + few)
    values = np.array([1.0, 0.0] * 5 + [0.0] * few)
    gaps, _ = gap_and_resampled([values], labels, ["old"] * 10 + ["young"] * few)
    assert gaps[0] == pytest.approx(values.mean() - 0.5)


def test_the_same_photos_are_drawn_for_both() -> None:
    one = shares(0)
    same = gap_difference(one, one, LABELS, GROUPS)
    assert (same.value, same.interval, same.n) == (0.0, (0.0, 0.0), 60)


def test_a_gap_that_is_closed_is_no_tie() -> None:
    before, after = shares(2, (0.95, 0.05, 0.95, 0.95)), shares(3, (0.9, 0.9, 0.9, 0.9))
    found = gap_difference(before, after, LABELS, GROUPS)
    assert found.value == pytest.approx(by_hand(before) - by_hand(after))
    assert found.interval[0] < found.value < found.interval[1]
    assert not found.is_tie and gap_difference(shares(4), shares(5), LABELS, GROUPS).is_tie
