"""How large a part is in a store's training photos: the side of its box, and its area."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.segments.store import SegmentStore, open_store


@dataclass(frozen=True, eq=False)
class _Boxes:
    """Every segment of a store's training images: int32 [n] each, but `pixels`, float64 [images]."""

    row: NDArray[np.int32]
    class_id: NDArray[np.int32]
    top: NDArray[np.int32]
    left: NDArray[np.int32]
    bottom: NDArray[np.int32]
    right: NDArray[np.int32]
    area: NDArray[np.int32]
    pixels: NDArray[np.float64]


def part_extent(store: SegmentStore, class_ids: Iterable[int]) -> float:
    """Mean, over the training images that show the part, of its box's longer side.

    Args:
        store: the segment store.
        class_ids: the part's.

    Returns:
        Share of the square root of the photo's area; about 0 to 1 for square photos. 1 if no image shows the part.
    """
    boxes = _boxes(store.path, store.digest)
    of_part = np.isin(boxes.class_id, list(class_ids))
    rows, starts = np.unique(boxes.row[of_part], return_index=True)
    if not len(rows):
        return 1.0
    low = [np.minimum.reduceat(edge[of_part], starts) for edge in (boxes.top, boxes.left)]
    high = [np.maximum.reduceat(edge[of_part], starts) for edge in (boxes.bottom, boxes.right)]
    longer = np.maximum(high[0] - low[0], high[1] - low[1])
    return float((longer / np.sqrt(boxes.pixels[rows])).mean())


def part_area(store: SegmentStore, class_ids: Iterable[int]) -> float:
    """Mean share of a training image's pixels that are the part's, over all of them, in [0, 1]."""
    boxes = _boxes(store.path, store.digest)
    of_part = np.isin(boxes.class_id, list(class_ids))
    return float((boxes.area[of_part] / boxes.pixels[boxes.row[of_part]]).sum() / max(1, len(boxes.pixels)))


@lru_cache(maxsize=2)
def _boxes(path: Path, digest: str) -> _Boxes:
    read: dict[str, list[NDArray[np.int32]]] = defaultdict(list)
    images = 0
    for batch in open_store(path).batches("train", ["segments"]):
        of_images = batch.column("segments")
        lengths = of_images.value_lengths().to_numpy(zero_copy_only=False)
        read["row"].append(np.repeat(np.arange(images, images + len(lengths), dtype=np.int32), lengths))
        segments = of_images.flatten()
        for name in ("class_id", "top", "left", "bottom", "right", "area"):
            read[name].append(segments.field(name).to_numpy(zero_copy_only=False))
        images += len(lengths)
    columns = {name: np.concatenate(parts) for name, parts in read.items()}
    pixels: NDArray[np.float64] = np.bincount(columns["row"], weights=columns["area"], minlength=images).astype(float)
    return _Boxes(pixels=pixels, **columns)
