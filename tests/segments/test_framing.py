import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from tasks.segments.framing import Box, crop_box, cropped, frame, resize_image, resize_label_map


def test_images_are_resized_bilinearly_with_antialiasing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 30, 50), dtype=np.uint8)
    for size in (12, 40, 64):
        expected = interpolate(
            torch.from_numpy(image)[None].float(), (size, size), mode="bilinear", antialias=True, align_corners=False
        )
        got = resize_image(image, size)
        assert (got.shape, got.dtype) == ((3, size, size), np.uint8)
        np.testing.assert_allclose(got, expected[0], atol=1)


def test_label_maps_are_resized_to_the_nearest_pixel() -> None:
    label_map = np.random.default_rng(0).integers(0, 200, (9, 15), dtype=np.uint8)
    for size in (3, 5, 27):
        got = resize_label_map(label_map, size)
        for y, x in np.ndindex(size, size):
            # The pixel in which the middle of the new one lies.
            assert got[y, x] == label_map[int((y + 0.5) * 9 / size), int((x + 0.5) * 15 / size)]


def test_the_same_size_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    image, label_map = generator.integers(0, 256, (3, 8, 8), dtype=np.uint8), generator.integers(0, 9, (8, 8), np.uint8)
    np.testing.assert_array_equal(resize_image(image, 8), image)
    np.testing.assert_array_equal(resize_label_map(label_map, 8), label_map)


@st.composite
def label_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Of odd sizes, with a block of class 3, perhaps at an edge, and perhaps one of class 5."""
    height, width = draw(st.integers(8, 40)), draw(st.integers(8, 40))
    label_map = np.zeros((height, width), dtype=np.uint8)
    for class_id in (3, 5) if draw(st.booleans()) else (3,):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        label_map[top : top + draw(st.integers(1, 15)), left : left + draw(st.integers(1, 15))] = class_id
    return label_map


@given(label_maps())
def test_the_box_is_the_smallest_square_with_a_margin(label_map: NDArray[np.uint8]) -> None:
    pixels = [(y, x) for y, x in np.ndindex(*label_map.shape) if label_map[y, x] in (3, 5)]
    top, left = min(y for y, _ in pixels), min(x for _, x in pixels)
    bottom, right = max(y for y, _ in pixels) + 1, max(x for _, x in pixels) + 1
    longer = max(bottom - top, right - left)
    box = crop_box(label_map, (3, 5))
    assert box is not None
    side = box.right - box.left
    assert box.bottom - box.top == side
    assert side == longer + 2 * max(1, round(longer / 10))
    for first, last, low, high in ((box.left, box.right, left, right), (box.top, box.bottom, top, bottom)):
        assert first < low
        assert last > high
        assert abs((low - first) - (last - high)) <= 1  # in the middle


@given(label_maps())
def test_a_crop_is_the_photo_s_pixels_and_black_beyond_its_edges(label_map: NDArray[np.uint8]) -> None:
    height, width = label_map.shape
    image = np.random.default_rng(0).integers(1, 256, (3, height, width), dtype=np.uint8)
    box = crop_box(label_map, (3,))
    if box is None:  # class 5 lies over all of class 3
        return
    cut, its_label_map = cropped(image, label_map, box)
    side = box.right - box.left
    assert (cut.shape, its_label_map.shape) == ((3, side, side), (side, side))
    for y, x in np.ndindex(side, side):
        own_y, own_x = y + box.top, x + box.left
        if 0 <= own_y < height and 0 <= own_x < width:
            assert (cut[:, y, x] == image[:, own_y, own_x]).all()
            assert its_label_map[y, x] == label_map[own_y, own_x]
        else:
            assert not cut[:, y, x].any()
            assert its_label_map[y, x] == 0
    assert (its_label_map == 3).sum() == (label_map == 3).sum()  # nothing of the part is lost


def photo() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image = np.random.default_rng(1).integers(0, 256, (3, 30, 50), dtype=np.uint8)
    label_map = np.zeros((30, 50), dtype=np.uint8)
    label_map[4:14, 20:25] = 3
    return image, label_map


def test_a_crop_comes_from_the_full_resolution() -> None:
    image, label_map = photo()
    assert crop_box(label_map, (3,)) == Box(16, 3, 28, 15)
    got, its_label_map = frame(image, label_map, (3,), "crop", 12)
    np.testing.assert_array_equal(got, image[:, 3:15, 16:28])
    np.testing.assert_array_equal(its_label_map, label_map[3:15, 16:28])
    assert frame(image, label_map, (3,), "crop", 30)[0].shape == (3, 30, 30)


@pytest.mark.parametrize(("class_ids", "framing"), [((3,), "full"), (None, "full"), (None, "crop"), ((7,), "crop")])
def test_all_else_is_the_whole_photo(class_ids: tuple[int, ...] | None, framing: str) -> None:
    image, label_map = photo()
    got, its_label_map = frame(image, label_map, class_ids, framing, 20)  # type: ignore[arg-type]
    np.testing.assert_array_equal(got, resize_image(image, 20))
    np.testing.assert_array_equal(its_label_map, resize_label_map(label_map, 20))


def test_an_absent_part_has_no_box() -> None:
    assert crop_box(photo()[1], (4, 7)) is None
