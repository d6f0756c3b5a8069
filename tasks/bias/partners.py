"""Who gives a segment to whom: the pairs of a plan, drawn so that all give about equally often."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.bias.plan import RecombinationPlan
from tasks.bias.training_photos import TrainingPhotos, held_out_halves
from tasks.errors import InputError
from tasks.segments.provenance import PlanKind
from tasks.segments.shown import count_shown
from tasks.segments.store import SegmentStore

EXCHANGES = 10  # of donors, for each pair

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
    shown = count_shown(store, "train", class_ids)
    has, alone = shown.asked > 0, shown.others == 0
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

    Held-out samples are judged by their nearest neighbours among each other, so of these no photo receives twice or
    gives twice, and none is made of the first of `held_out_halves`, which is judged by as it is: as many pairs of the
    second half as there can be, and with "balance-group" no more than the first half lacks.

    Args:
        photos: the training split.
        kind: of the plan.
        seed: of the drawing.

    Returns:
        The pairs, those in training first, then by receiver. A photo without a possible partner is in none.
    """
    generator = np.random.default_rng(seed)
    members = np.flatnonzero(~photos.held_out)
    copied, parents = held_out_halves(photos, seed)
    if kind == "other-label":
        sides = _other_label(photos, members, generator), _other_label_once(photos, parents, generator)
    elif kind == "same-label":
        sides = _same_label(photos, members, generator), _same_label(photos, parents, generator)
    else:
        sides = _balance_group(photos, members, generator), _balance_group(photos, parents, generator, beside=copied)
    return [pair for side in sides for pair in sorted(side)]


def _other_label(photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator) -> Iterator[Pair]:
    labels = photos.labels[members]
    given = np.zeros(len(photos.labels), dtype=np.int64)
    for label in np.unique(labels):
        own, others = members[labels == label], members[labels != label]
        yield from _pairs(own, _shared(others, len(own), given, generator))


def _other_label_once(photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator) -> Iterator[Pair]:
    """As many pairs as there can be in which nobody receives twice and nobody gives twice."""
    labels = photos.labels
    mixed = generator.permutation(members)
    order = mixed[np.argsort(labels[mixed], kind="stable")]
    # In a ring sorted by label, whoever stands as far on as the most frequent label reaches is of another label, unless
    # that label has more than half of the ring: then as many of its photos as there are others get a partner.
    donors = np.roll(order, -int(np.bincount(labels[order]).max(initial=0)))
    paired = labels[order] != labels[donors]
    receivers, donors = order[paired], donors[paired]
    # All pairs of a label have their donors from neighbouring labels so far.
    for one, other in generator.integers(max(1, len(donors)), size=(EXCHANGES * len(donors), 2)).tolist():
        if labels[receivers[one]] != labels[donors[other]] and labels[receivers[other]] != labels[donors[one]]:
            donors[one], donors[other] = donors[other], donors[one]
    yield from _pairs(receivers, donors)


def _same_label(photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator) -> Iterator[Pair]:
    labels = photos.labels[members]
    for label in np.unique(labels):
        own = generator.permutation(members[labels == label])
        if len(own) > 1:
            yield from _pairs(own, np.roll(own, 1))  # each from its neighbour in a ring: nobody from themselves


def _balance_group(
    photos: TrainingPhotos, members: _Numbers, generator: np.random.Generator, beside: _Numbers | None = None
) -> Iterator[Pair]:
    """Pairs of the members. With `beside`, what these photos lack is made, as far as nobody receives or gives twice."""
    labels = photos.labels
    groups = np.array([group or "" for group in photos.groups], dtype=np.str_)
    grouped = members[groups[members] != ""]
    counted = grouped if beside is None else beside[groups[beside] != ""]
    given, received = np.zeros(len(labels), dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
    names = np.unique(groups[counted])
    for label in np.unique(labels[counted]):
        own, there = grouped[labels[grouped] == label], groups[counted[labels[counted] == label]]
        largest = max(np.count_nonzero(there == group) for group in names)
        for group in names:
            lacking = int(largest - np.count_nonzero(there == group))
            receivers, donors = own[groups[own] != group], grouped[groups[grouped] == group]
            if beside is not None:
                fresh = [int(np.count_nonzero(used == 0)) for used in (received[receivers], given[donors])]
                lacking = min(lacking, *fresh)
            chosen = _shared(donors, lacking, given, generator)
            yield from _pairs(_shared(receivers, lacking, received, generator), chosen)


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
