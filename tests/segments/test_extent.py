from pathlib import Path

import numpy as np
import pytest

from tasks.segments.extent import part_area, part_extent
from tasks.segments.pictures import decode_label_map, encode_image, encode_label_map
from tasks.segments.shard_writer import write_shard
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments

CLASSES = {0: "ground", 1: "hair", 2: "hat"}


def store_of(folder: Path, label_maps: list[np.ndarray]) -> SegmentStore:
    rows = [
        Row(
            image_id=str(number),
            split="train",
            label="a",
            group=None,
            image=encode_image(np.zeros((3, *label_map.shape), dtype=np.uint8)),
            image_path="x.png",
            mask=encode_label_map(label_map),
            segments=describe_segments(label_map, CLASSES),
        )
        for number, label_map in enumerate(label_maps)
    ]
    write_shard(folder, "train", rows, source="x", classes=CLASSES, key="k", part=0, parts=1)
    write_shard(folder, "validation", [], source="x", classes=CLASSES, key="k", part=0, parts=1)
    return open_store(folder)


def by_hand(store: SegmentStore, class_ids: set[int]) -> tuple[float, float]:
    """Mean share of the longer side of the part's box where it is, and mean share of the area over all images."""
    sides, areas = [], []
    for row in store.iterate("train"):
        part = np.isin(decode_label_map(row.mask, "x"), sorted(class_ids))
        areas.append(part.mean())
        ys, xs = np.nonzero(part)
        if len(ys):
            sides.append(max(np.ptp(ys) + 1, np.ptp(xs) + 1) / np.sqrt(part.size))
    return float(np.mean(sides)) if sides else 1.0, float(np.mean(areas))


@pytest.fixture
def store(tmp_path: Path) -> SegmentStore:
    label_maps = []
    for number in range(5):
        label_map = np.zeros((20, 30 + 5 * number), dtype=np.uint8)
        label_map[2 : 6 + number, 3:18] = 1
        if number % 2:
            label_map[1:4, 20 : 22 + number] = 2
        label_maps.append(label_map)
    return store_of(tmp_path / "store", label_maps)


@pytest.mark.parametrize("class_ids", [{1}, {2}, {1, 2}, {0}, {9}])
def test_extent_and_area_are_those_of_the_label_maps(store: SegmentStore, class_ids: set[int]) -> None:
    extent, area = by_hand(store, class_ids)
    assert part_extent(store, class_ids) == pytest.approx(extent)
    assert part_area(store, class_ids) == pytest.approx(area)
