"""Decode once: a split's pictures and label maps as memory-mapped arrays that every task on the machine shares."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.segments.framing import frame
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore

DECODED_VERSION = 1
_DECODING = threading.Lock()  # threads of one process wait for the first of them


@dataclass(frozen=True, kw_only=True)
class DecodedSplit:
    """A split of a store, decoded at one size.

    Attributes:
        images: uint8 [n, 3, size, size], memory-mapped.
        label_maps: uint8 [n, size, size], memory-mapped.
        labels: int64 [n], index into `label_names`.
        label_names: all labels of the store, sorted.
        image_ids: n names.
        groups: n protected attributes, None where there is none.
    """

    images: NDArray[np.uint8]
    label_maps: NDArray[np.uint8]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    groups: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.labels)


def decode(
    store: SegmentStore, split: Split, size: int, folder: Path, crop_to: tuple[int, ...] | None = None
) -> DecodedSplit:
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
    crop = "" if crop_to is None else "-crop-" + hashlib.sha256(bytes(crop_to)).hexdigest()[:16]
    target = folder / f"{store.digest[:16]}-{size}px{crop}-v{DECODED_VERSION}" / split
    with _DECODING:
        if not target.is_dir():
            _write(store, split, size, crop_to, target)
    rows = json.loads((target / "rows.json").read_text(encoding="utf-8"))
    names = tuple(rows["label_names"])
    index = {name: number for number, name in enumerate(names)}
    return DecodedSplit(
        images=np.load(target / "images.npy", mmap_mode="r", allow_pickle=False),
        label_maps=np.load(target / "label_maps.npy", mmap_mode="r", allow_pickle=False),
        labels=np.array([index[label] for label in rows["labels"]], dtype=np.int64),
        label_names=names,
        image_ids=tuple(rows["image_ids"]),
        groups=tuple(rows["groups"]),
    )


def _write(store: SegmentStore, split: Split, size: int, crop_to: tuple[int, ...] | None, target: Path) -> None:
    """Write to a folder of our own, then rename: another process may be doing the same."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    n = store.rows(split)
    try:
        images = _array(temporary / "images.npy", (n, 3, size, size))
        label_maps = _array(temporary / "label_maps.npy", (n, size, size))
        image_ids, labels, groups = [], [], []
        for i, row in enumerate(store.iterate(split)):
            image, label_map = decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id)
            images[i], label_maps[i] = frame(image, label_map, crop_to, "full" if crop_to is None else "crop", size)
            image_ids.append(row.image_id)
            labels.append(row.label)
            groups.append(row.group)
        images.flush()
        label_maps.flush()
        label_names = sorted({label for name in SPLITS for label in store.columns(name, ["label"])["label"]})
        rows = {"image_ids": image_ids, "labels": labels, "groups": groups, "label_names": label_names}
        (temporary / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # not the other process's folder that is in the way
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _array(path: Path, shape: Sequence[int]) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=tuple(shape))
