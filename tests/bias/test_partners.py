from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.bias.partners import draw_pairs, store_pairs
from tasks.bias.plan import RecombinationPlan
from tasks.bias.training_photos import TrainingPhotos, training_photos
from tasks.errors import InputError
from tasks.metric.batches import held_out
from tasks.segments.provenance import PLAN_KINDS
from tasks.segments.store import SegmentStore


def made_photos(labels: list[int], groups: list[str | None] | None = None, seed: int = 0) -> TrainingPhotos:
    numbers = np.array(labels, dtype=np.int64)
    return TrainingPhotos(
        image_ids=tuple(map(str, range(len(labels)))),
        labels=numbers,
        groups=tuple(groups or [None] * len(labels)),
        held_out=held_out(numbers, seed),
    )


some_photos = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["g", "h", None])), min_size=1, max_size=60)


@given(some_photos, st.integers(0, 5))
def test_parents_are_two_photos_on_one_side_and_drawn_again_alike(
    rows: list[tuple[int, str | None]], seed: int
) -> None:
    photos = made_photos([label for label, _ in rows], [group for _, group in rows])
    for kind in PLAN_KINDS:
        pairs = draw_pairs(photos, kind, seed)
        assert pairs == draw_pairs(photos, kind, seed)
        for receiver, donor in pairs:
            assert receiver != donor
            assert photos.held_out[receiver] == photos.held_out[donor]
            if kind != "balance-group":
                assert (photos.labels[receiver] == photos.labels[donor]) == (kind == "same-label")


def test_with_two_labels_of_equal_number_all_give_and_receive_once() -> None:
    photos = made_photos([0, 1] * 50)
    for kind in ("other-label", "same-label"):
        pairs = draw_pairs(photos, kind, 0)
        assert sorted(pair.receiver for pair in pairs) == sorted(pair.donor for pair in pairs) == list(range(100))
    assert draw_pairs(photos, "other-label", 0) != draw_pairs(photos, "other-label", 1)


def test_each_photo_receives_once_and_others_give_evenly() -> None:
    photos = made_photos([0] * 60 + [1] * 30 + [2] * 30)
    pairs = draw_pairs(photos, "other-label", 0)
    assert sorted(pair.receiver for pair in pairs) == list(range(120))
    assert max(Counter(pair.donor for pair in pairs).values()) <= 2
    two = draw_pairs(made_photos([0] * 40 + [1] * 20), "other-label", 0)
    given_by = Counter(pair.donor for pair in two)
    assert {given_by[number] for number in range(40, 60)} == {2}
    assert {given_by[number] for number in range(40)} == {0, 1}


def test_a_photo_without_a_partner_is_left_out() -> None:
    assert draw_pairs(made_photos([0] * 8), "other-label", 0) == []
    assert draw_pairs(made_photos([0, 1]), "same-label", 0) == []
    assert {pair.receiver for pair in draw_pairs(made_photos([0, 1, 1]), "same-label", 0)} == {1, 2}


@given(some_photos)
def test_groups_become_as_frequent_as_the_label_s_largest(rows: list[tuple[int, str | None]]) -> None:
    photos = made_photos([label for label, _ in rows], [group for _, group in rows])
    counts: Counter[tuple[bool, int, str]] = Counter()
    for number, (label, group) in enumerate(rows):
        if group is not None:
            counts[bool(photos.held_out[number]), label, group] += 1
    before = counts.copy()
    for receiver, donor in draw_pairs(photos, "balance-group", 0):
        assert photos.groups[receiver] not in (None, photos.groups[donor])
        counts[bool(photos.held_out[receiver]), int(photos.labels[receiver]), str(photos.groups[donor])] += 1
    for side in (False, True):
        there = {group for (own, _, group), count in before.items() if own == side and count}
        for label in range(4):
            largest = max(before[side, label, group] for group in "gh")
            for group in there:
                assert counts[side, label, group] == largest


def test_pairs_without_the_segment_are_left_out(store: SegmentStore) -> None:
    plan = RecombinationPlan(segment="spot", classes=("spot",), kind="other-label", seed=1)
    photos = training_photos(store, plan.seed)
    has = [any(segment["name"] == "spot" for segment in row.segments) for row in store.iterate("train")]
    pairs = store_pairs(store, photos, plan)
    assert pairs == [pair for pair in draw_pairs(photos, plan.kind, plan.seed) if has[pair.receiver] or has[pair.donor]]
    assert {(has[pair.receiver], has[pair.donor]) for pair in pairs} >= {(True, False), (False, True)}
    assert len(pairs) < 40


def test_the_photos_are_those_of_the_store(store: SegmentStore) -> None:
    photos = training_photos(store, 3)
    rows = list(store.iterate("train"))
    assert photos.image_ids == tuple(row.image_id for row in rows)
    assert photos.groups == tuple(row.group for row in rows)
    assert [("day", "night")[label] for label in photos.labels] == [row.label for row in rows]
    np.testing.assert_array_equal(photos.held_out, held_out(np.arange(40) % 2, 3))


def test_what_cannot_be_drawn_is_said(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    store = make_store(tmp_path, change=lambda row: replace(row, group=None, label="day"))
    photos = training_photos(store, 0)
    plan = RecombinationPlan(segment="badge", classes=("badge",), kind="balance-group", seed=0)
    with pytest.raises(InputError, match=r"no groups to balance: .* --group"):
        store_pairs(store, photos, plan)
    with pytest.raises(InputError, match="no two training photos to exchange 'badge' between"):
        store_pairs(store, photos, replace(plan, kind="other-label"))
    everything = replace(plan, classes=("body", "badge", "spot"), kind="same-label")
    assert len(store_pairs(store, photos, everything)) == 40
