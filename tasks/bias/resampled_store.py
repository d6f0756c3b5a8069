"""The rivals of new samples, as stores too: photos left out, or repeated, until labels and groups are balanced."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.bias.derived_store import NewRow, write_derived_store
from tasks.bias.training_photos import TrainingPhotos, training_photos
from tasks.segments.provenance import Provenance
from tasks.segments.store import Row, SegmentStore


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
    chosen: list[int] = []
    for cells in _cells(photos, groups):
        least = min(map(len, cells))
        chosen += sorted(number for cell in cells for number in generator.permutation(cell)[:least].tolist())
    return _write(store, photos, chosen, seed, out, "subsampled", groups)


def write_reweighted_store(store: SegmentStore, groups: Sequence[str], seed: int, out: Path) -> SegmentStore:
    """Write a store in which the training photos of each label and group are repeated until all such cells are equal.

    Each cell gets as many rows as the largest on its side of the held-out split; the photos stay, the repeats follow
    after them. A cell without photos stays empty.

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
    repeated: list[int] = []
    for cells in _cells(photos, groups):
        most = max(map(len, cells))
        for cell in cells:
            repeated += np.resize(generator.permutation(cell), most - len(cell)).tolist()
    return _write(store, photos, repeated, seed, out, "reweighted", groups)


def _cells(photos: TrainingPhotos, groups: Sequence[str]) -> list[list[NDArray[np.int64]]]:
    """Numbers of the photos of each cell that has some, those in training first, then those held out."""
    if len(groups) != len(photos.labels):
        raise ValueError(f"each of the {len(photos.labels)} training photos needs a group; got {len(groups)} groups")
    names = np.array(groups, dtype=np.str_)
    sides = []
    for side in (False, True):
        members = np.flatnonzero(photos.held_out == side)
        keys = sorted(set(zip(photos.labels[members].tolist(), names[members].tolist(), strict=True)))
        cells = [members[(photos.labels[members] == label) & (names[members] == group)] for label, group in keys]
        if cells:
            sides.append(cells)
    return sides


def _write(
    store: SegmentStore,
    photos: TrainingPhotos,
    numbers: Sequence[int],
    seed: int,
    out: Path,
    method: str,
    groups: Sequence[str],
) -> SegmentStore:
    new = []
    for place, number in enumerate(numbers):
        name = photos.image_ids[number]
        provenance = Provenance(
            kind="copy", segment="", receiver=name, donor=name, seed=seed, held_out=bool(photos.held_out[number])
        )
        new.append(NewRow(image_id=f"copy-{place:05d}-of-{name}", receiver=number, donor=number, provenance=provenance))
    digest = hashlib.sha256("\n".join(groups).encode()).hexdigest()
    note = {method: {"seed": seed, "groups": digest}}
    return write_derived_store(store, new, _copy, out, photos=method == "reweighted", note=note)


def _copy(new: NewRow, photo: Row, _: Row) -> Row:
    return replace(photo, image_id=new.image_id, provenance=new.provenance)
