from dataclasses import replace

import pytest

from tasks.metric.node_options import node_options, pixel_share
from tasks.metric.options import TrainingOptions
from tasks.segments.extent import part_extent
from tasks.segments.store import SegmentStore

OPTIONS = TrainingOptions(size=96)
BODY, BADGE, SPOT = (1,), (2,), (3,)  # boxes of 40, 22 and fewer pixels of 48


def test_the_whole_photo_and_the_root_are_left_alone(store: SegmentStore) -> None:
    assert node_options(OPTIONS, SPOT, store) == OPTIONS
    for framing in ("crop", "auto"):
        assert node_options(replace(OPTIONS, framing=framing), None, store) == OPTIONS


def test_a_crop_s_size_follows_the_part(store: SegmentStore) -> None:
    crop = replace(OPTIONS, framing="crop")
    for part in (BODY, BADGE, SPOT):
        # A margin of a tenth on each side, twice as large as in the whole photo, in steps of 16, 32 to 96 pixels.
        wanted = 96 * 2 * 1.2 * part_extent(store, part)
        size = next(size for size in (32, 48, 64, 80, 96) if size >= wanted or size == 96)
        assert node_options(crop, part, store) == replace(crop, size=size)
    assert node_options(crop, SPOT, store).size < 96


def test_auto_crops_small_parts_alone(store: SegmentStore) -> None:
    auto = replace(OPTIONS, framing="auto")
    assert node_options(auto, BODY, store) == replace(auto, framing="full")
    small = node_options(auto, SPOT, store)
    assert small == node_options(replace(auto, framing="crop"), SPOT, store)
    assert (small.framing, small.size < 96) == ("crop", True)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_crop_is_never_larger_than_the_whole_photo(size: int, store: SegmentStore) -> None:
    options = TrainingOptions(size=size, framing="crop")
    assert node_options(options, SPOT, store).size == size


def test_a_part_that_no_image_shows_keeps_the_size(store: SegmentStore) -> None:
    assert node_options(replace(OPTIONS, framing="auto"), (7,), store).framing == "full"


def test_a_share_is_of_the_pixels_of_a_full_size_batch() -> None:
    assert pixel_share(OPTIONS, OPTIONS) == 1
    assert pixel_share(replace(OPTIONS, size=48), OPTIONS) == 48 * 48 / (96 * 96) == 0.25
    assert pixel_share(replace(OPTIONS, size=64), OPTIONS) == pytest.approx(4 / 9)
