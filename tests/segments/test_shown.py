"""Counts of the segments that images show, against their label maps."""

import pytest

from tasks.segments.pictures import decode_label_map
from tasks.segments.shown import count_shown
from tasks.segments.source import Split
from tasks.segments.store import SegmentStore


@pytest.mark.parametrize(("split", "kinds"), [("train", 3), ("validation", 2)])
def test_counts_are_those_of_the_label_maps(store: SegmentStore, split: Split, kinds: int) -> None:
    maps = [frozenset(decode_label_map(row.mask, "x").ravel().tolist()) for row in store.iterate(split)]
    assert len(set(maps)) == kinds
    for wanted in ({2}, {1, 3}, {0}, {7}, set[int]()):
        found = count_shown(store, split, wanted)
        assert found.asked.tolist() == [len(ids & wanted) for ids in maps]
        assert found.others.tolist() == [len(ids - wanted) for ids in maps]
