"""What is known of a store's training photos without looking at them, and which of them are held out of training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.metric.batches import held_out
from tasks.segments.store import SegmentStore


@dataclass(frozen=True, kw_only=True)
class TrainingPhotos:
    """The training split of a store of photos, in the store's order.

    Attributes:
        image_ids: n names.
        labels: int64 [n], index into the labels in alphabetical order.
        groups: n protected attributes, None where there is none.
        held_out: bool [n], True for the tenth that is held out of training.
    """

    image_ids: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: tuple[str | None, ...]
    held_out: NDArray[np.bool_]


def training_photos(store: SegmentStore, seed: int) -> TrainingPhotos:
    """Read them.

    Args:
        store: photos alone.
        seed: of the tenth that is held out.

    Raises:
        InputError: the store has synthetic rows already.
    """
    columns = store.columns("train", ["image_id", "label", "group", "provenance"])
    if made := sum(provenance is not None for provenance in columns["provenance"]):
        raise InputError(
            f"{made} rows of the store {store.path} are no photos, and samples are made of photos only: "
            "give the store that it was made from"
        )
    labels = np.unique(np.array(columns["label"], dtype=np.str_), return_inverse=True)[1].astype(np.int64)
    return TrainingPhotos(
        image_ids=tuple(columns["image_id"]),
        labels=labels,
        groups=tuple(columns["group"]),
        held_out=held_out(labels, seed),
    )


def held_out_halves(photos: TrainingPhotos, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the held-out photos in two: those that are judged by as they are, and those that samples are made of.

    A sample is its receiver but for one segment, so a photo must not be judged by beside a sample made of it.

    Args:
        photos: the training split.
        seed: of the cut.

    Returns:
        Two arrays int64 of numbers in order; each label's photos are shared out evenly, the odd one to the first.
    """
    generator = np.random.default_rng(seed)
    first = np.zeros(len(photos.labels), dtype=np.bool_)
    for label in np.unique(photos.labels):
        own = generator.permutation(np.flatnonzero(photos.held_out & (photos.labels == label)))
        first[own[: -(-len(own) // 2)]] = True
    return np.flatnonzero(first), np.flatnonzero(photos.held_out & ~first)
