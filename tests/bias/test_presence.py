import numpy as np
import pytest

from tasks.bias.presence import presence_counts, presence_shares, shows
from tasks.segments.store import SegmentStore


def test_who_shows_a_part(store: SegmentStore) -> None:
    badge, either = shows(store, "train", ("badge",)), shows(store, "train", ("badge", "body"))
    assert badge.tolist() == [number // 2 % 10 != 9 for number in range(40)]
    assert either.all()
    assert not shows(store, "train", ()).any()


def test_counts_by_label_and_group() -> None:
    labels, groups = ("x", "y", "x", "x", "y"), ("old", "old", "old", "young", "old")
    hat, nose = np.array([True, True, False, True, False]), np.array([True] * 5)
    found = presence_counts("train", labels, groups, {"hat": hat, "nose": nose})
    assert [(count.label, count.group, count.photos, count.showing) for count in found] == [
        ("x", "old", 2, {"hat": 1, "nose": 2}),
        ("x", "young", 1, {"hat": 1, "nose": 1}),
        ("y", "old", 2, {"hat": 1, "nose": 2}),
    ]
    alone = presence_counts("validation", labels, None, {"hat": hat})
    assert [(count.split, count.label, count.group, count.photos, count.showing["hat"]) for count in alone] == [
        ("validation", "x", "", 3, 2),
        ("validation", "y", "", 2, 1),
    ]


def test_the_rule_guesses_the_label_that_presence_goes_with_relative_to_its_number() -> None:
    # Of four x two show it, of two y both do: who shows it is guessed to be y, who does not, x.
    train, labels = np.array([True, True, False, False, True, True]), ("x", "x", "x", "x", "y", "y")
    asked = np.array([True, True, False, False])
    assert presence_shares(train, labels, asked, ("x", "y", "x", "y")).tolist() == [0.0, 1.0, 1.0, 0.0]


def test_labels_that_show_it_alike_share_the_guess() -> None:
    train, labels = np.array([True, False, True, False]), ("x", "x", "y", "y")
    found = presence_shares(train, labels, np.array([True, False]), ("x", "z"))
    assert found.tolist() == pytest.approx([0.5, 0.0])  # z was never seen
