"""Decode once: a split's pictures and label maps as memory-mapped arrays that every task on the machine shares."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.segments.compose import N_CLASSES
from tasks.segments.framing import frame
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore
from tasks.temporary_path import temporary_path

DECODED_VERSION = 4
CropTo = tuple[int, ...] | None  # class ids of the part that pictures are cropped to; None: whole pictures
Framed = tuple[int, CropTo]  # edge length of the square pictures in pixels, and what they are cropped to
_DECODING = threading.Lock()  # threads of one process wait for the first of them


class Side(NamedTuple):
    """Where a row that is no photo belongs, as its provenance says.

    Attributes:
        held_out: whether its parents are held out of training.
        seed: of the split of the photos that says so.
    """

    held_out: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class DecodedSplit:
    """A split of a store, decoded at one size.

    Attributes:
        images: uint8 [n, 3, size, size], memory-mapped.
        label_maps: uint8 [n, size, size], memory-mapped.
        present: bool [n, 256], memory-mapped: which class ids each label map has (`classes_present`).
        labels: int64 [n], index into `label_names`.
        label_names: all labels of the store: those of the training split, sorted, then those of validation alone.
        image_ids: n names.
        synthetic: the rows that are no photos, by their number.
    """

    images: NDArray[np.uint8]
    label_maps: NDArray[np.uint8]
    present: NDArray[np.bool_]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    synthetic: Mapping[int, Side] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def label_count(self) -> int:
        """How many labels occur in the split. Of the training split these are the first ones, from 0 without a gap."""
        return len(np.unique(self.labels))


def decode(store: SegmentStore, split: Split, size: int, folder: Path, crop_to: CropTo = None) -> DecodedSplit:
    """Open a split's arrays, decoding them first if no task on this machine has done it yet.

    Args:
        store: the segment store.
        split: which split.
        size: edge length of the square pictures, in pixels.
        folder: where this machine keeps decoded splits.
        crop_to: class ids of the part that each picture is cropped to; None for whole pictures, which nodes share.

    Raises:
        InputError: a picture or label map of the store cannot be decoded.
        OSError: the disk is full; nothing half-written is left under the final name.
    """
    decode_once(store, split, folder, [(size, crop_to)])
    target = _target(store, split, folder, (size, crop_to))
    rows = json.loads((target / "rows.json").read_text(encoding="utf-8"))
    names = tuple(rows["label_names"])
    index = {name: number for number, name in enumerate(names)}
    images, label_maps, present = (
        np.load(target / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("images", "label_maps", "present")
    )
    return DecodedSplit(
        images=images,
        label_maps=label_maps,
        present=present,
        labels=np.array([index[label] for label in rows["labels"]], dtype=np.int64),
        label_names=names,
        image_ids=tuple(rows["image_ids"]),
        synthetic={number: Side(held_out, seed) for number, held_out, seed in rows["synthetic"]},
    )


def decode_once(store: SegmentStore, split: Split, folder: Path, wanted: Iterable[Framed]) -> None:
    """Write the arrays of several sizes and crops in one pass over the store; those that are there stay as they are.

    Args:
        store: the segment store.
        split: which split.
        folder: where this machine keeps decoded splits.
        wanted: sizes, each with what pictures are cropped to.

    Raises:
        InputError, OSError: as `decode`.
    """
    with _DECODING:
        targets = {framed: _target(store, split, folder, framed) for framed in wanted}
        missing = {framed: target for framed, target in targets.items() if not target.is_dir()}
        if missing:
            _write(store, split, missing)


def classes_present(label_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which class ids a label map has, bool [256]."""
    present: NDArray[np.bool_] = np.bincount(label_map.ravel(), minlength=N_CLASSES) > 0
    return present


def _target(store: SegmentStore, split: Split, folder: Path, framed: Framed) -> Path:
    size, crop_to = framed
    crop = "" if crop_to is None else "-crop-" + hashlib.sha256(bytes(crop_to)).hexdigest()[:16]
    return folder / f"{store.digest[:16]}-{size}px{crop}-v{DECODED_VERSION}" / split


def _write(store: SegmentStore, split: Split, targets: Mapping[Framed, Path]) -> None:
    """Write to folders of our own, then rename: another process may be doing the same."""
    temporary = {framed: temporary_path(target) for framed, target in targets.items()}
    n = store.rows(split)
    try:
        arrays = {}
        for (size, crop_to), folder in temporary.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            arrays[size, crop_to] = (
                _array(folder / "images.npy", (n, 3, size, size)),
                _array(folder / "label_maps.npy", (n, size, size)),
                _array(folder / "present.npy", (n, N_CLASSES), np.bool_),
            )
        image_ids, labels, synthetic = [], [], []
        for i, row in enumerate(store.iterate(split)):
            image, label_map = decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id)
            for (size, crop_to), (images, label_maps, present) in arrays.items():
                images[i], label_maps[i] = frame(image, label_map, crop_to, "full" if crop_to is None else "crop", size)
                present[i] = classes_present(label_maps[i])
            image_ids.append(row.image_id)
            labels.append(row.label)
            if row.provenance is not None:
                synthetic.append((i, row.provenance.held_out, row.provenance.seed))
        of_split = [set(store.labels[name]) for name in SPLITS]
        label_names = [*sorted(of_split[0]), *sorted(of_split[1] - of_split[0])]
        rows = {"image_ids": image_ids, "labels": labels, "label_names": label_names, "synthetic": synthetic}
        for framed, written in arrays.items():
            for array in written:
                array.flush()
            (temporary[framed] / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
            _rename(temporary[framed], targets[framed])
    finally:
        for folder in temporary.values():
            shutil.rmtree(folder, ignore_errors=True)


def _rename(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():  # not the other process's folder that is in the way
            raise


def _array(path: Path, shape: Sequence[int], dtype: type[np.generic] = np.uint8) -> np.memmap[Any, Any]:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
    # Now, for where a disk is full a write to mapped memory ends the process.
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    return array
