from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.metric.batches import balanced_batches, held_out

labellings = st.lists(st.integers(0, 4), min_size=4, max_size=60).map(lambda labels: np.array(labels, dtype=np.int64))


@given(labellings, st.integers(4, 24))
def test_each_batch_has_an_equal_share_of_each_of_its_classes(labels: np.ndarray, batch: int) -> None:
    batches = list(balanced_batches(labels, batch, np.random.default_rng(0)))
    assert len(batches) == max(1, len(labels) // batch)
    classes_a_batch = min(len(set(labels.tolist())), batch // 2)
    for positions in batches:
        counts = Counter(labels[positions].tolist())
        assert len(counts) == classes_a_batch
        assert set(counts.values()) == {batch // classes_a_batch}
        assert min(counts.values()) >= 2  # every image has a positive


@given(labellings, st.integers(4, 24))
def test_no_image_comes_again_before_all_of_its_label_came(labels: np.ndarray, batch: int) -> None:
    sequence = [position for b in balanced_batches(labels, batch, np.random.default_rng(1)) for position in b.tolist()]
    for label in set(labels.tolist()):
        own = [position for position in sequence if labels[position] == label]
        size = int((labels == label).sum())
        for start in range(0, len(own), size):
            round_ = own[start : start + size]
            assert len(set(round_)) == len(round_)


def test_of_many_classes_each_batch_draws_some_and_in_time_all() -> None:
    labels = np.repeat(np.arange(10), 8)
    seen = [set(labels[b].tolist()) for b in balanced_batches(labels, 8, np.random.default_rng(2))]
    assert {len(classes) for classes in seen} == {4}
    assert set.union(*seen) == set(range(10))


def test_one_seed_one_order() -> None:
    labels = np.arange(40) % 2

    def order(seed: int) -> list[list[int]]:
        return [b.tolist() for b in balanced_batches(labels, 8, np.random.default_rng(seed))]

    assert order(3) == order(3)
    assert order(3) != order(4)


@given(labellings, st.integers(0, 5))
def test_a_tenth_of_each_label_is_held_out(labels: np.ndarray, seed: int) -> None:
    mask = held_out(labels, seed)
    assert (mask.dtype, mask.shape) == (np.bool_, labels.shape)
    for label in set(labels.tolist()):
        count = int((labels == label).sum())
        assert abs(int(mask[labels == label].sum()) - count / 10) <= 0.5


@pytest.mark.parametrize(("count", "expected"), [(4, 0), (10, 1), (19, 2), (100, 10), (104, 10)])
def test_how_many_of_a_label_are_held_out(count: int, expected: int) -> None:
    assert held_out(np.zeros(count, dtype=np.int64), seed=0).sum() == expected


def test_what_is_held_out_depends_on_the_seed_only() -> None:
    labels = np.arange(100) % 2
    assert np.array_equal(held_out(labels, 1), held_out(labels, 1))
    assert not np.array_equal(held_out(labels, 1), held_out(labels, 2))
    # All images have the same chance: over many seeds none is always in or always out.
    share = np.mean([held_out(labels, seed) for seed in range(200)], axis=0)
    assert share.min() > 0.02
    assert share.max() < 0.25
