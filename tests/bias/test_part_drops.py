import numpy as np
import pytest

from tasks.bias.cross_fit import CrossFit
from tasks.bias.part_drops import at, part_drops
from tasks.bias.shortcut import balanced

LABELS = {"train": ["x", "y"] * 100, "validation": ["x", "y"] * 40}


def fit(train: np.ndarray, validation: np.ndarray) -> CrossFit:
    return CrossFit(
        train_indices=np.arange(len(train)),
        train=train,
        validation_indices=np.arange(len(validation)),
        validation=validation,
    )


def test_look_and_presence_are_judged_together() -> None:
    hat = {"train": np.array([True, False] * 100), "validation": np.array([True, True, False, False] * 20)}
    hair = {split: np.ones(len(of), dtype=np.bool_) for split, of in LABELS.items()}
    shown = {split: {"hat": hat[split], "hair": hair[split]} for split in ("train", "validation")}
    sure = fit(np.ones(200), np.array([1.0, 0.0, 0.0, 1.0] * 20))
    found = part_drops({"hat": None, "hair": sure}, LABELS, shown, seed=0)  # type: ignore[arg-type]
    assert len(found) == 2
    assert (list(found.look), list(found.presence)) == (["hair"], ["hat"])  # all show hair
    presence = found.presence["hat"]
    # In training an x shows a hat and no y does; in validation half of each.
    assert (presence.train.value, presence.validation.value) == (1.0, 0.5)
    assert (presence.train.n, presence.validation.n) == (100, 80)  # half of the training photos made the rule
    assert presence.alarm and found.look["hair"].alarm
    assert found.look["hair"].train == balanced(np.ones(200), LABELS["train"], ("x", "y"))


def test_both_sides_are_taken_over_the_labels_that_both_have() -> None:
    labels = {"train": ["x", "y", "z"] * 50, "validation": ["x", "y"] * 30}
    shares = np.array([0.0, 0.0, 1.0] * 50)
    shown = {split: {"hair": np.ones(len(of), dtype=np.bool_)} for split, of in labels.items()}
    found = part_drops({"hair": fit(shares, np.zeros(60))}, labels, shown, seed=0)  # type: ignore[arg-type]
    assert found.look["hair"].value == 0  # z alone is told, and validation has none
    none = {"train": ["x", "y"] * 50, "validation": ["v", "w"] * 30}
    assert len(part_drops({"hair": fit(shares[:100], np.zeros(60))}, none, shown, seed=0)) == 0  # type: ignore[arg-type]


def test_at_takes_the_values_of_some_photos() -> None:
    assert at(["a", "b", "c"], np.array([2, 0])) == ("c", "a")
    with pytest.raises(IndexError):
        at(["a"], np.array([1]))


def test_a_presence_that_says_nothing_alarms_no_more_often_than_it_may() -> None:
    generator = np.random.default_rng(2)
    alarms = 0
    for seed in range(300):
        shown = {split: {"hat": generator.random(len(of)) < 0.4} for split, of in LABELS.items()}
        found = part_drops({"hat": None}, LABELS, shown, seed)  # type: ignore[arg-type]
        alarms += found.presence["hat"].alarm
    assert alarms / 300 < 0.08
