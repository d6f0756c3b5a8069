import numpy as np
import pytest
from scipy import stats

from tasks.bias.shortcut import FALSE_ALARM, LEAST_DROP, LEAST_PHOTOS, Balanced, Drop, balanced, drops, enough


def figure(value: float, n: int = 100) -> Balanced:
    return Balanced(value=value, variance=0.25 / n, n=n)


AB = ("a", "b")


def test_labels_count_alike_whatever_their_number() -> None:
    shares = np.array([1.0, 0.0, 1.0, 1.0] * 4 + [0.5, 0.0] * 4)
    found = balanced(shares, ["a"] * 16 + ["b"] * 8, AB)
    assert found is not None
    assert (found.value, found.n) == (pytest.approx((0.75 + 0.25) / 2), 24)
    rates = (12 + 1) / (16 + 2), (2 + 1) / (8 + 2)
    assert found.variance == pytest.approx((rates[0] * (1 - rates[0]) / 16 + rates[1] * (1 - rates[1]) / 8) / 4)


def test_guessing_is_one_in_the_labels_whatever_their_shares() -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice(["a", "b", "c"], 30_000, p=[0.8, 0.15, 0.05]).tolist()
    said = generator.choice(["a", "b", "c"], 30_000, p=[0.8, 0.15, 0.05]).tolist()
    right = np.array([float(one == other) for one, other in zip(labels, said, strict=True)])
    found = balanced(right, labels, ("a", "b", "c"))
    assert found is not None
    assert found.value == pytest.approx(1 / 3, abs=0.01)
    assert right.mean() > 0.6


def test_a_label_that_is_always_right_is_still_a_sample() -> None:
    found = balanced(np.ones(16), ["a"] * 8 + ["b"] * 8, AB)
    assert found is not None
    assert found.variance == pytest.approx(2 * (0.9 * 0.1 / 8) / 4)
    assert found.interval[1] == 1.0


@pytest.mark.parametrize("labels", [["a"] * 20, ["a"] * 8 + ["b"] * (LEAST_PHOTOS - 1), []])
def test_where_there_is_too_little_there_is_no_figure(labels: list[str]) -> None:
    assert balanced(np.ones(len(labels)), labels, AB) is None
    assert balanced(np.ones(len(labels)), labels, ()) is None


def test_labels_that_one_side_has_too_few_of_are_left_out() -> None:
    train, validation = ["a"] * 9 + ["b"] * 8 + ["c"] * 30, ["a"] * 8 + ["b"] * 8 + ["c"] * 7 + ["d"] * 50
    assert enough(train, validation) == ("a", "b")
    assert enough(train) == ("a", "b", "c")
    assert enough(train, ["a"] * 50) == ()
    found = balanced(np.array([1.0] * 17 + [0.0] * 30), train, AB)
    assert found is not None and (found.value, found.n) == (1.0, 17)


def test_the_interval_is_the_normal_one() -> None:
    low, high = figure(0.6).interval
    assert (low, high) == pytest.approx(stats.norm.interval(0.95, 0.6, 0.05))


def test_the_chance_of_a_drop_is_that_of_a_z_test() -> None:
    found = drops({"hat": (figure(0.7), figure(0.6, 50))})["hat"]
    assert found.value == pytest.approx(0.1)
    assert found.p_value == pytest.approx(stats.norm.sf(0.1 / (0.25 / 100 + 0.25 / 50) ** 0.5))


def test_alarms_follow_holm_s_procedure() -> None:
    values = (0.3, 0.18, 0.15, 0.05, 0.0, -0.2)  # 0.15 would pass as the last of two, not of four
    found = drops({f"part {i}": (figure(0.6 + value), figure(0.6)) for i, value in enumerate(values)})
    chances = [drop.p_value for drop in found.values()]
    expected = []
    for rank, place in enumerate(np.argsort(chances).tolist()):
        if chances[place] > FALSE_ALARM / (len(chances) - rank):
            break
        expected.append(f"part {place}")
    assert [name for name, drop in found.items() if drop.alarm] == expected == ["part 0", "part 1"]


def test_a_small_drop_is_none_however_sure() -> None:
    sure = drops({"hat": (figure(0.6 + LEAST_DROP - 0.001, 10**6), figure(0.6, 10**6))})["hat"]
    assert sure.p_value < 1e-9 and not sure.alarm
    assert drops({"hat": (figure(0.6 + LEAST_DROP + 0.001, 10**6), figure(0.6, 10**6))})["hat"].alarm


def test_false_alarms_stay_rare_over_all_parts_together() -> None:
    generator = np.random.default_rng(1)
    labels = ["a", "b"] * 100

    def drawn() -> dict[str, Drop]:
        made = {}
        for part in range(12):
            rate = 0.5 + 0.04 * part
            sides = [balanced((generator.random(200) < rate).astype(np.float64), labels, AB) for _ in range(2)]
            assert sides[0] is not None and sides[1] is not None
            made[str(part)] = (sides[0], sides[1])
        return drops(made)

    alarms = sum(any(drop.alarm for drop in drawn().values()) for _ in range(400))
    assert alarms / 400 < FALSE_ALARM + 0.03
