"""Who gives a segment to whom: the pairs of a plan, drawn so that all give about equally often."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.bias.plan import RecombinationPlan
from tasks.bias.training_photos import TrainingPhotos
from tasks.errors import InputError
from tasks.segments.provenance import PlanKind
from tasks.segments.store import SegmentStore

_Numbers = NDArray[np.int64]


class Pair(NamedTuple):
    """A new sample's parents, by their number in the training split."""

    receiver: int
    donor: int


def store_pairs(store: SegmentStore, photos: TrainingPhotos, plan: RecombinationPlan) -> list[Pair]:
    """The pairs of a plan: those drawn, less those of which neither photo has the segment.

    A receiver that consists of the segment alone is left out too: there is nothing to put another one into.

    Args:
        store: the photos.
        photos: what is known of them.
        plan: which segment, and how donors are chosen.

    Raises:
        InputError: the store lacks a class of the plan, has no groups where they are needed, or no pair is left.
    """
    class_ids = plan.class_ids(store)
    if plan.kind == "balance-group" and not any(photos.groups):
        raise InputError(
            f"the store {store.path} has no groups to balance: give a column of groups to `heml prepare` with --group"
        )
    shown = [{segment["class_id"] for segment in row} for row in store.columns("train", ["segments"])["segments"]]
    has = [not classes.isdisjoint(class_ids) for classes in shown]
    alone = [classes <= set(class_ids) for classes in shown]
    drawn = draw_pairs(photos, plan.kind, plan.seed)
    pairs = [pair for pair in drawn if (has[pair.receiver] or has[pair.donor]) and not alone[pair.receiver]]
    if not pairs:
        raise InputError(
            f"the store {store.path} has no two training photos to exchange {plan.segment!r} between ({plan.kind}): "
            "choose a segment that it shows, or a store with more labels or groups"
        )
    return pairs


def draw_pairs(photos: TrainingPhotos, kind: PlanKind, seed: int) -> list[Pair]:
    """Draw the parents of the new samples; both are held out of training, or neither is.

    "other-label": each photo receives once, from a photo of another label; with two labels of equal number each gives
    once too. "same-label": each photo receives once and gives once, among those of its label. "balance-group": for
    each label and each group that the label has fewer photos of than of its largest, as many as are lacking; they are
    received by the label's photos of other groups and given by the group's photos of any label.

    Args:
        photos: the training split.
        kind: of the plan.
        seed: of the drawing.

    Returns:
        The pairs, those in training first, then by receiver. A photo without a possible partner is in none.
    """
    generator = np.random.default_rng(seed)
    pairs = []
    for side in (False, True):
        members = np.flatnonzero(photos.held_out == side)
        drawn = {"other-label": _other_label, "same-label": _same_label, "balance-group": _balance_group}[kind](
            photos, members, generator
        )
        pairs += sorted(drawn)
    return pairs


def _other_label(photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator) -> Iterator[Pair]:
    labels = photos.labels[members]
    given = np.zeros(len(photos.labels), dtype=np.int64)
    for label in np.unique(labels):
        own, others = members[labels == label], members[labels != label]
        yield from _pairs(own, _shared(others, len(own), given, generator))


def _same_label(photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator) -> Iterator[Pair]:
    labels = photos.labels[members]
    for label in np.unique(labels):
        own = generator.permutation(members[labels == label])
        if len(own) > 1:
            yield from _pairs(own, np.roll(own, 1))  # each from its neighbour in a ring: nobody from themselves


def _balance_group(photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator) -> Iterator[Pair]:
    labels = photos.labels
    groups = np.array([group or "" for group in photos.groups], dtype=np.str_)
    grouped = members[groups[members] != ""]
    given, received = np.zeros(len(labels), dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
    names = np.unique(groups[grouped])
    for label in np.unique(labels[grouped]):
        own = grouped[labels[grouped] == label]
        largest = max(np.count_nonzero(groups[own] == group) for group in names)
        for group in names:
            lacking = int(largest - np.count_nonzero(groups[own] == group))
            donors = _shared(grouped[groups[grouped] == group], lacking, given, generator)
            yield from _pairs(_shared(own[groups[own] != group], lacking, received, generator), donors)


def _shared(numbers: _Numbers, count: int, used: _Numbers, generator: np.random.Generator) -> _Numbers:
    """`count` of the numbers, the least used ones first, in random order; what is used is counted."""
    if not len(numbers):
        return numbers
    order = numbers[np.lexsort((generator.random(len(numbers)), used[numbers]))]
    chosen = generator.permutation(np.resize(order, count))
    np.add.at(used, chosen, 1)
    return chosen


def _pairs(receivers: _Numbers, donors: _Numbers) -> Iterator[Pair]:
    """Pairs in order; none where there are no donors."""
    return map(Pair, receivers.tolist(), donors.tolist())
