"""The rivals of new samples, as stores too: photos left out, or repeated, until labels and groups are balanced."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.bias.derived_store import make_copy, new_copies, write_derived_store
from tasks.bias.training_photos import TrainingPhotos, training_photos
from tasks.segments.store import SegmentStore


def write_subsampled_store(store: SegmentStore, groups: Sequence[str], seed: int, out: Path) -> SegmentStore:
    """Write a store that has as many training photos of each label and group as of the rarest such cell.

    Cells are counted and drawn from on either side of the held-out split. A cell without photos stays empty.

    Args:
        store: photos alone.
        groups: of each training photo, in the store's order.
        seed: of the drawing and of the held-out split.
        out: folder of the new store.

    Raises:
        InputError: the store has synthetic rows, or `out` is the store itself or holds another one.
        ValueError: there is not one group a training photo.
        OSError: the disk is full; the shards that are finished stay.
    """
    photos, generator = training_photos(store, seed), np.random.default_rng(seed)
    chosen = [number for cells in _cells(photos, groups) for number in _as_the_smallest(cells, generator)]
    return _write(store, photos, chosen, seed, out, "subsampled", groups)


def write_reweighted_store(store: SegmentStore, groups: Sequence[str], seed: int, out: Path) -> SegmentStore:
    """Write a store in which the training photos of each label and group are repeated until all such cells are equal.

    Each cell gets as many rows as the largest; the photos stay, the repeats follow after them. Among the photos that
    are held out, repeats would be their own nearest neighbours, so these are not repeated: of each cell as many as of
    the smallest follow as copies, to judge by. A cell without photos stays empty.

    Args, Raises: as `write_subsampled_store`.
    """
    photos, generator = training_photos(store, seed), np.random.default_rng(seed)
    trained_on, judged_by = _cells(photos, groups)
    most = max(map(len, trained_on), default=0)
    copies: list[int] = []
    for cell in trained_on:
        copies += np.resize(generator.permutation(cell), most - len(cell)).tolist()
    copies += _as_the_smallest(judged_by, generator)
    return _write(store, photos, copies, seed, out, "reweighted", groups)


def _as_the_smallest(cells: list[NDArray[np.int64]], generator: np.random.Generator) -> list[int]:
    """Of each cell as many numbers as the smallest has, in order."""
    least = min(map(len, cells), default=0)
    return sorted(number for cell in cells for number in generator.permutation(cell)[:least].tolist())


def _cells(photos: TrainingPhotos, groups: Sequence[str]) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Numbers of the photos of each cell that has some, those in training first, then those held out."""
    if len(groups) != len(photos.labels):
        raise ValueError(f"each of the {len(photos.labels)} training photos needs a group; got {len(groups)} groups")
    names = np.array(groups, dtype=np.str_)

    def of_side(held_out: bool) -> list[NDArray[np.int64]]:
        members = np.flatnonzero(photos.held_out == held_out)
        keys = sorted(set(zip(photos.labels[members].tolist(), names[members].tolist(), strict=True)))
        return [members[(photos.labels[members] == label) & (names[members] == group)] for label, group in keys]

    return of_side(held_out=False), of_side(held_out=True)


def _write(
    store: SegmentStore,
    photos: TrainingPhotos,
    numbers: Sequence[int],
    seed: int,
    out: Path,
    method: str,
    groups: Sequence[str],
) -> SegmentStore:
    new = new_copies(photos, numbers, seed)
    digest = hashlib.sha256("\n".join(groups).encode()).hexdigest()
    note = {method: {"seed": seed, "groups": digest}}
    return write_derived_store(store, new, make_copy, out, photos=method == "reweighted", note=note)
