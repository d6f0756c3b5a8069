"""Counts of label x group x segment presence, and how well presence alone tells the label."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.segments.shown import count_shown
from tasks.segments.source import Split
from tasks.segments.store import SegmentStore


@dataclass(frozen=True, kw_only=True)
class PresenceCount:
    """How many photos of a split, label and group there are, and how many of them show each segment.

    Attributes:
        split: which split.
        label: their label.
        group: their group; "" where photos are not grouped.
        photos: how many.
        showing: leaf to the number that show it.
    """

    split: Split
    label: str
    group: str
    photos: int
    showing: dict[str, int]


def shows(store: SegmentStore, split: Split, classes: Iterable[str]) -> NDArray[np.bool_]:
    """Whether each photo of a split shows one of the classes, bool [n]."""
    wanted = set(classes)
    shown = count_shown(store, split, [class_id for class_id, name in store.classes.items() if name in wanted])
    return shown.asked > 0


def presence_counts(
    split: Split, labels: tuple[str, ...], groups: tuple[str, ...] | None, shown: dict[str, NDArray[np.bool_]]
) -> list[PresenceCount]:
    """Count a split's photos.

    Args:
        split: its name.
        labels: n.
        groups: n, or None.
        shown: leaf to bool [n].
    """
    cells = list(zip(labels, groups or ("",) * len(labels), strict=True))
    counts = Counter(cells)
    showing = {
        name: Counter(cell for cell, there in zip(cells, of_photo.tolist(), strict=True) if there)
        for name, of_photo in shown.items()
    }
    return [
        PresenceCount(
            split=split,
            label=label,
            group=group,
            photos=count,
            showing={name: of_leaf[(label, group)] for name, of_leaf in showing.items()},
        )
        for (label, group), count in sorted(counts.items())
    ]


def presence_shares(
    train: NDArray[np.bool_], train_labels: Sequence[str], asked: NDArray[np.bool_], asked_labels: Sequence[str]
) -> NDArray[np.float64]:
    """Whether a rule of presence, learned on some photos, is right on others.

    The rule guesses the label that is more frequent, relative to its number, among the photos that show the segment as
    the asked one does; labels that are equally frequent share the guess.

    Args:
        train: bool [n], whether the photos that are learned from show it.
        train_labels: n.
        asked: bool [m].
        asked_labels: m.

    Returns:
        float64 [m] in [0, 1].
    """
    names = sorted(set(train_labels))
    labels = np.array(train_labels)
    right = np.empty(len(asked))
    for there in (False, True):
        shares = np.array([(train[labels == name] == there).mean() for name in names])
        best = shares == shares.max()
        guess = dict(zip(names, (best / best.sum()).tolist(), strict=True))
        for place in np.flatnonzero(asked == there).tolist():
            right[place] = guess.get(asked_labels[place], 0.0)
    return right
