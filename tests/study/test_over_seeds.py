from tasks.study.over_seeds import balanced_over_seeds, precision_over_seeds, shares_over_seeds
from tests.study.row_results import node, precision, result

TWO = [result("avsl", node((1.0, 1.0)), seed=0), result("avsl", node((1.0, 0.0)), seed=1)]


def test_seeds_are_averaged_image_by_image() -> None:
    assert shares_over_seeds(TWO, "own") == {0: 1.0, 1: 0.5}
    first = precision_over_seeds(TWO, 1, "own")
    assert first.startswith("75.0 (") and first.endswith(", seeds 50.0 to 100.0")
    assert precision_over_seeds(TWO, 2, "own") == "65.0"
    assert [balanced_over_seeds(TWO, decision) for decision in ("own", "composed")] == ["50.0", "-"]


def test_one_seed_keeps_its_own_intervals() -> None:
    assert precision_over_seeds(TWO[1:], 1, "own") == "50.0 (45.0 to 55.0)"
    assert precision_over_seeds(TWO[1:], 2, "own") == "40.0"
    assert precision_over_seeds(TWO[1:], 8, "own") == precision_over_seeds(TWO, 8, "own") == "-"


def test_the_composed_decision_has_figures_of_its_own() -> None:
    composed = node((1.0, 0.0), composed=precision(0.9), composed_shares=(0.0, 1.0), composed_balanced=0.8)
    rows = [result("snr-heml", composed)]
    assert shares_over_seeds(rows, "composed") == {0: 0.0, 1: 1.0}
    assert precision_over_seeds(rows, 1, "composed") == "90.0 (85.0 to 95.0)"
    assert balanced_over_seeds(rows, "composed") == "80.0"
