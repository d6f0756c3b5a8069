import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.bias.hole import without_segment
from tasks.bias.picture import Picture


def distances(label_map: np.ndarray, others: np.ndarray, y: int, x: int) -> dict[int, int]:
    """Squared distance from a pixel to the nearest of each label among the others."""
    found: dict[int, int] = {}
    for v, u in np.argwhere(others):
        label, squared = int(label_map[v, u]), int((v - y) ** 2 + (u - x) ** 2)
        found[label] = min(squared, found.get(label, squared))
    return found


@given(arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9)), elements=st.integers(0, 4)))
def test_labels_are_those_of_the_nearest_pixel(label_map: np.ndarray) -> None:
    segment = label_map == 4
    segment[0, 0] = False
    image = np.zeros((3, *label_map.shape), dtype=np.uint8)
    made = without_segment(Picture(image, label_map), segment, 1.0)
    for y, x in np.ndindex(*label_map.shape):
        if segment[y, x]:
            near = distances(label_map, ~segment, y, x)
            assert near[int(made.label_map[y, x])] == min(near.values())
        else:
            assert made.label_map[y, x] == label_map[y, x]


def test_one_colour_beside_the_hole_is_the_hole_s() -> None:
    image = np.full((3, 30, 30), 77, dtype=np.uint8)
    segment = np.zeros((30, 30), dtype=np.bool_)
    segment[8:20, 5:30] = True
    image[:, segment] = 200
    image[:, 7, 5:30] = 140  # its rim is mixed with its colour
    made = without_segment(Picture(image, segment.astype(np.uint8)), segment, 1.5)
    assert np.all(made.image == 77)


def test_the_hole_s_edges_have_the_colours_beside_them() -> None:
    image = np.broadcast_to(np.arange(0, 200, 5, dtype=np.uint8), (3, 40, 40)).copy()
    segment = np.zeros((40, 40), dtype=np.bool_)
    segment[15:21, 10:30] = True
    made = without_segment(Picture(image, segment.astype(np.uint8)), segment, 1.0)
    middle = made.image[:, 17:19].astype(int)
    assert np.abs(middle[..., 10] - image[0, 0, 9]).max() <= 15
    assert np.abs(middle[..., 29] - image[0, 0, 30]).max() <= 15


def test_colours_drawn_on_are_no_streaks() -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (3, 64, 64), dtype=np.uint8)
    segment = np.zeros((64, 64), dtype=np.bool_)
    segment[16:48, 16:48] = True
    made = without_segment(Picture(image, segment.astype(np.uint8)), segment, 1.5)
    steps = np.abs(np.diff(made.image[:, 28:36, 20:44].astype(int), axis=2))
    assert steps.mean() < np.abs(np.diff(image.astype(int), axis=2)).mean() / 8


def test_a_picture_that_is_nearly_all_segment_is_filled() -> None:
    segment = np.ones((9, 9), dtype=np.bool_)
    segment[4, 4] = False
    image = np.full((3, 9, 9), 5, dtype=np.uint8)
    image[:, 4, 4] = (1, 2, 3)
    made = without_segment(Picture(image, segment.astype(np.uint8)), segment, 2.0)
    assert np.all(made.image == np.array([1, 2, 3])[:, None, None])
    assert np.all(made.label_map == 0)


def test_without_the_segment_nothing_changes() -> None:
    generator = np.random.default_rng(0)
    picture = Picture(generator.integers(0, 256, (3, 9, 9), dtype=np.uint8), np.zeros((9, 9), dtype=np.uint8))
    made = without_segment(picture, np.zeros((9, 9), dtype=np.bool_), 1.0)
    np.testing.assert_array_equal(made.image, picture.image)
    assert made.image is not picture.image


def test_a_part_beyond_the_rim_is_not_drawn_on() -> None:
    # From the left: skin, a line of the segment, one column of skin, and an eye.
    columns = [1] * 10 + [2] + [1] + [3] * 10
    label_map = np.tile(np.array(columns, dtype=np.uint8), (22, 1))
    image = np.choose(label_map, [0, 90, 200, 255])[None].repeat(3, axis=0).astype(np.uint8)
    made = without_segment(Picture(image, label_map), label_map == 2, 1.0)
    assert np.all(made.label_map[:, :12] == 1)
    assert np.abs(made.image[:, :, :12].astype(int) - 90).max() <= 40  # smoothing brings a little of the white
