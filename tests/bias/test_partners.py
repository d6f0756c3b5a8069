from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.bias.partners import Pair, draw_pairs, store_pairs
from tasks.bias.plan import RecombinationPlan
from tasks.bias.training_photos import TrainingPhotos, held_out_halves, training_photos
from tasks.errors import InputError
from tasks.metric.batches import held_out
from tasks.segments.provenance import PLAN_KINDS, PlanKind
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


def sides_of(photos: TrainingPhotos, kind: PlanKind, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """The pairs in training, and those held out."""
    pairs = draw_pairs(photos, kind, seed)
    held = [pair for pair in pairs if photos.held_out[pair.receiver]]
    assert pairs[len(pairs) - len(held) :] == held
    return pairs[: len(pairs) - len(held)], held


@given(some_photos, st.integers(0, 5))
def test_the_halves_share_out_each_label_s_held_out_photos(rows: list[tuple[int, str | None]], seed: int) -> None:
    photos = made_photos([label for label, _ in rows] * 9)
    first, second = (half.tolist() for half in held_out_halves(photos, seed))
    assert sorted(first + second) == np.flatnonzero(photos.held_out).tolist()
    counts = [Counter(photos.labels[half].tolist()) for half in (first, second)]
    assert all(counts[0][label] - counts[1][label] in (0, 1) for label in range(4))
    assert [half.tolist() for half in held_out_halves(photos, seed)] == [first, second]


@given(some_photos, st.integers(0, 5))
def test_no_two_held_out_samples_share_a_parent_and_none_is_made_of_a_copy(
    rows: list[tuple[int, str | None]], seed: int
) -> None:
    photos = made_photos([label for label, _ in rows] * 9, [group for _, group in rows] * 9)
    for kind in PLAN_KINDS:
        _, pairs = sides_of(photos, kind, seed)
        for parents in zip(*pairs, strict=True):  # receivers, donors
            assert len(set(parents)) == len(parents)
            assert set(parents) <= set(held_out_halves(photos, seed)[1].tolist())


@given(some_photos)
def test_of_held_out_photos_as_many_samples_are_made_as_can_be(rows: list[tuple[int, str | None]]) -> None:
    photos = made_photos([label for label, _ in rows] * 9)
    there = Counter(photos.labels[held_out_halves(photos, 0)[1]].tolist())
    total, largest = sum(there.values()), max(there.values(), default=0)
    # Photos of a label of the majority have no more partners than there are photos of other labels, and these receive.
    assert len(sides_of(photos, "other-label")[1]) == min(total, 2 * (total - largest))
    assert len(sides_of(photos, "same-label")[1]) == sum(count for count in there.values() if count > 1)


def test_held_out_samples_have_donors_of_each_other_label() -> None:
    photos = made_photos([0, 1, 2, 3] * 400)
    _, pairs = sides_of(photos, "other-label")
    drawn = Counter((int(photos.labels[receiver]), int(photos.labels[donor])) for receiver, donor in pairs)
    assert len(pairs) == 80
    assert set(drawn) == {(label, other) for label in range(4) for other in range(4) if label != other}


@pytest.mark.parametrize("counts", [(2000, 2000), (2000, 1400), (1000, 1000, 1000)])
def test_what_is_judged_by_hardly_ties_the_segment_to_the_label(counts: tuple[int, ...]) -> None:
    # The segment looks like the label's own in 9 of 10 photos, else like another label's.
    generator, labels = np.random.default_rng(0), np.repeat(np.arange(len(counts)), counts)
    odd = generator.random(len(labels)) < 0.1
    states = (labels + odd * generator.integers(1, len(counts), len(labels))) % len(counts)
    photos = made_photos(labels.tolist())

    def own(pairs: list[Pair]) -> float:
        """Of the images, as (photo, photo with the segment), the mean over labels that show the label's own look."""
        shows = [(labels[receiver], labels[receiver] == states[donor]) for receiver, donor in pairs]
        return float(np.mean([np.mean([own for label, own in shows if label == one]) for one in range(len(counts))]))

    copies = [Pair(number, number) for number in held_out_halves(photos, 0)[0].tolist()]
    judged = copies + sides_of(photos, "other-label")[1]
    assert own(copies) > 0.8
    assert abs(own(judged) - 0.5) < 0.08
    assert own(copies + sides_of(photos, "same-label")[1]) > 0.8


def test_with_two_labels_of_equal_number_all_give_and_receive_once() -> None:
    photos = made_photos([0, 1] * 50)
    rest, parents = np.flatnonzero(~photos.held_out).tolist(), held_out_halves(photos, 0)[1].tolist()
    assert (len(rest), len(parents)) == (90, 4)
    for kind in PLAN_KINDS[:2]:
        for pairs, members in zip(sides_of(photos, kind), (rest, parents), strict=True):
            assert sorted(pair.receiver for pair in pairs) == sorted(pair.donor for pair in pairs) == members
    assert draw_pairs(photos, "other-label", 0) != draw_pairs(photos, "other-label", 1)


def test_each_photo_receives_once_and_others_give_evenly() -> None:
    photos = made_photos([0] * 60 + [1] * 30 + [2] * 30)
    pairs, _ = sides_of(photos, "other-label")
    assert sorted(pair.receiver for pair in pairs) == np.flatnonzero(~photos.held_out).tolist()
    assert max(Counter(pair.donor for pair in pairs).values()) <= 2
    unequal = made_photos([0] * 40 + [1] * 20)
    given_by = Counter(pair.donor for pair in sides_of(unequal, "other-label")[0])
    assert {given_by[number] for number in range(40, 60) if not unequal.held_out[number]} == {2}
    assert {given_by[number] for number in range(40) if not unequal.held_out[number]} == {0, 1}


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
    there = {group for (side, _, group), count in before.items() if not side and count}
    for label in range(4):
        largest = max(before[False, label, group] for group in "gh")
        for group in there:
            assert counts[False, label, group] == largest


def test_what_the_held_out_copies_lack_is_made_of_the_other_half() -> None:
    # Of each label 200 photos are held out, 160 of one group and 40 of the other, more or less.
    generator, labels = np.random.default_rng(1), np.repeat([0, 1], 2000)
    groups = np.where((labels == 0) ^ (generator.random(4000) < 0.2), "g", "h").tolist()
    photos = made_photos(labels.tolist(), groups)
    copied = held_out_halves(photos, 0)[0]
    counts = Counter((int(labels[number]), groups[number]) for number in copied.tolist())
    assert max(counts.values()) > 2 * min(counts.values())
    counts.update((int(labels[receiver]), groups[donor]) for receiver, donor in sides_of(photos, "balance-group")[1])
    assert counts[0, "g"] == counts[0, "h"] and counts[1, "g"] == counts[1, "h"]


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
    assert len(store_pairs(store, photos, everything)) == 36 + 2  # 4 are held out, of which 2 are copied
