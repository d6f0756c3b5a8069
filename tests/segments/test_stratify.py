import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.segments.source import Item
from tasks.segments.stratify import arrange_items, split_by_label, stratified_sample, stratified_split


def labels_of(counts: dict[str, int]) -> dict[str, str]:
    return {f"{label}{number}": label for label, count in counts.items() for number in range(count)}


def items_of(counts: dict[str, int]) -> list[Item]:
    return [Item(image_id=name, split="train", label=label) for name, label in labels_of(counts).items()]


@given(st.lists(st.integers(2, 40), min_size=2, max_size=4), st.integers(1, 99), st.integers(0, 5))
def test_each_label_gives_its_rounded_share(counts: list[int], percent: int, seed: int) -> None:
    by_label = {chr(97 + index): count for index, count in enumerate(counts)}
    splits = stratified_split(labels_of(by_label), percent / 100, seed)
    got = Counter(name[0] for name, split in splits.items() if split == "validation")
    for label, count in by_label.items():
        rounded = math.floor(Fraction(count * percent, 100) + Fraction(1, 2))
        assert abs(got[label] - min(max(rounded, 1), count - 1)) <= (count * percent % 100 == 50)
    assert len(splits) == sum(counts)


def test_the_split_does_not_depend_on_the_order_of_the_rows_but_on_the_seed() -> None:
    labels = labels_of({"cat": 30, "dog": 20})
    assert stratified_split(labels, 0.2, 0) == stratified_split(dict(reversed(labels.items())), 0.2, 0)
    assert stratified_split(labels, 0.2, 0) != stratified_split(labels, 0.2, 1)


def test_a_photo_more_moves_one_other_at_most() -> None:
    labels = labels_of({"cat": 30, "dog": 20})
    before = stratified_split(labels, 0.2, 0)
    after = stratified_split({**labels, "new": "cat"}, 0.2, 0)
    assert sum(before[name] != after[name] for name in before) <= 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 100))
def test_a_sample_keeps_the_proportions(counts: list[int], limit: int) -> None:
    strata = labels_of({chr(97 + index): count for index, count in enumerate(counts)})
    if limit < len(counts):
        with pytest.raises(InputError, match=f"a limit of {limit} photos"):
            stratified_sample(strata, limit, 0)
        return
    kept = stratified_sample(strata, limit, 0)
    assert len(kept) == min(limit, len(strata))
    got = Counter(strata[name] for name in kept)
    assert set(got) == set(strata.values())
    shares = {chr(97 + index): min(limit / sum(counts), 1) * count for index, count in enumerate(counts)}
    if all(share >= 1 for share in shares.values()):
        assert all(abs(got[label] - share) < 1 for label, share in shares.items())


def test_a_larger_sample_holds_the_smaller_one() -> None:
    strata = labels_of({"cat": 40, "dog": 20})
    assert stratified_sample(strata, 12, 3) < stratified_sample(strata, 30, 3) < frozenset(strata)


def test_arranged_items_are_split_limited_and_in_order() -> None:
    items = arrange_items(items_of({"cat": 40, "dog": 20}), where="x", validation=0.25, limit=24, seed=0)
    assert [item.image_id for item in items] == sorted(item.image_id for item in items)
    assert Counter((item.label, item.split) for item in items) == {
        ("cat", "train"): 12,
        ("cat", "validation"): 4,
        ("dog", "train"): 6,
        ("dog", "validation"): 2,
    }
    everything = {item.image_id: item.split for item in items_of({})} | {
        item.image_id: item.split
        for item in arrange_items(items_of({"cat": 40, "dog": 20}), where="x", validation=0.25, limit=None, seed=0)
    }
    # A photo of the sample is in the same split as it is without a limit.
    assert all(everything[item.image_id] == item.split for item in items)


@given(st.integers(4, 30), st.integers(1, 99), st.integers(0, 5))
def test_whole_labels_are_split(count: int, percent: int, seed: int) -> None:
    labels = labels_of({f"kind {index} no ": 1 + index % 3 for index in range(count)})
    splits = split_by_label(labels, percent / 100, seed)
    of_label = {label: {splits[name] for name in labels if labels[name] == label} for label in labels.values()}
    assert all(len(found) == 1 for found in of_label.values())
    novel = sum(found == {"validation"} for found in of_label.values())
    rounded = math.floor(Fraction(count * percent, 100) + Fraction(1, 2))
    assert abs(novel - min(max(rounded, 2), count - 2)) <= (count * percent % 100 == 50)


def test_which_labels_are_novel_depends_on_the_seed_alone() -> None:
    labels = labels_of(dict.fromkeys("abcdefghij", 4))
    of_seeds = [split_by_label(labels, 0.5, seed) for seed in range(4)]
    assert split_by_label(dict(reversed(labels.items())), 0.5, 0) == of_seeds[0]
    assert len({tuple(sorted(splits.items())) for splits in of_seeds}) == 4
    more = split_by_label({**labels, "a99": "a"}, 0.5, 0)
    assert {name: more[name] for name in labels} == of_seeds[0]


def test_arranged_items_may_be_split_by_label() -> None:
    counts = {"cat": 5, "dog": 4, "eel": 3, "fox": 2}
    items = arrange_items(items_of(counts), where="x", validation=0.5, limit=None, seed=0, by_label=True)
    by_split = {split: {item.label for item in items if item.split == split} for split in ("train", "validation")}
    assert len(items) == 14 and not by_split["train"] & by_split["validation"]
    assert [len(labels) for labels in by_split.values()] == [2, 2]


def test_three_labels_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"from 4 on, .* there are 3: cat, dog, eel: split the photos of each label"):
        split_by_label(labels_of({"eel": 2, "cat": 3, "dog": 3}), 0.5, 0)
    with pytest.raises(InputError, match=r"between 0 and 1; got 1\.5"):
        split_by_label(labels_of(dict.fromkeys("abcd", 2)), 1.5, 0)


def test_given_splits_are_kept() -> None:
    given_items = [Item(image_id=str(n), split="validation" if n % 2 else "train", label=str(n // 4)) for n in range(8)]
    assert arrange_items(given_items, where="x", validation=None, limit=None, seed=0) == tuple(given_items)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "x has no photo"),
        (items_of({"cat": 3}), "x has one label only, 'cat'"),
        (items_of({"cat": 3, "dog": 1}), "x has a single photo of the label 'dog'"),
        (items_of({"cat": 3, "": 5}), r"x has no label for '0', '1', '2', \.\.\. \(5 in all\)"),
        (items_of({"cat": 3, "dog": 2}) + items_of({"dog": 1}), "x has 'dog0' more than once"),
    ],
)
def test_wrong_labels_are_refused(items: list[Item], message: str) -> None:
    with pytest.raises(InputError, match=message):
        arrange_items(items, where="x", validation=0.2, limit=None, seed=0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 20.0])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=f"between 0 and 1; got {share}"):
        stratified_split(labels_of({"cat": 3, "dog": 3}), share, 0)
