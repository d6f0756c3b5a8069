"""Which images of a store show some of its classes, read from its rows without looking at a picture."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.segments.source import Split
from tasks.segments.store import SegmentStore


class Shown(NamedTuple):
    """How many segments each image has, int64 [n]: of the classes that were asked for, and of others."""

    asked: NDArray[np.int64]
    others: NDArray[np.int64]


def count_shown(store: SegmentStore, split: Split, class_ids: Iterable[int]) -> Shown:
    """Count each image's segments, a few images in memory at a time.

    Args:
        store: the segment store.
        split: which split.
        class_ids: the classes that are asked for.
    """
    wanted = list(class_ids)
    asked, others = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for batch in store.batches(split, ["segments"]):
        of_images = batch.column("segments")
        lengths = of_images.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        inside = np.isin(of_images.flatten().field("class_id").to_numpy(zero_copy_only=False), wanted)
        asked.append(np.bincount(rows[inside], minlength=len(lengths)))
        others.append(lengths - asked[-1])
    return Shown(np.concatenate(asked), np.concatenate(others))
