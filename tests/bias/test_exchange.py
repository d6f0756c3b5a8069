import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.bias.exchange import _scaled, exchange_segment
from tasks.bias.picture import Box, Picture
from tasks.errors import InputError

HEIGHT, WIDTH = 40, 60
PART, OTHER = (2, 3), 1
REACH = 3  # pixels: three feather widths of a picture of this size


def flat(colours: dict[int, tuple[int, int, int]], label_map: np.ndarray) -> Picture:
    """Each class in one colour."""
    image = np.zeros((3, *label_map.shape), dtype=np.uint8)
    for class_id, colour in colours.items():
        image[:, label_map == class_id] = np.array(colour, dtype=np.uint8)[:, None]
    return Picture(image, label_map)


def body(shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    label_map = np.zeros(shape, dtype=np.uint8)
    label_map[5 : shape[0] - 5, 10 : shape[1] - 10] = OTHER
    return label_map


def with_part(box: tuple[int, int, int, int], shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A body with a rectangle of which the left half is class 2 and the right half class 3."""
    top, left, bottom, right = box
    label_map = body(shape)
    label_map[top:bottom, left:right] = 3
    label_map[top:bottom, left : (left + right) // 2] = 2
    return label_map


def near(mask: np.ndarray, reach: int) -> np.ndarray:
    """Pixels at most `reach` rows and columns from one of the mask."""
    found = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        found[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    return found


GREY = (90, 90, 90)
RECEIVER = {0: (10, 20, 30), 1: GREY, 2: (200, 30, 30), 3: (200, 30, 30)}
DONOR = {0: (250, 250, 250), 1: GREY, 2: (30, 30, 200), 3: (30, 200, 30)}


def test_the_donor_s_segment_fills_the_box_of_the_receiver_s() -> None:
    receiver = flat(RECEIVER, with_part((10, 20, 26, 44)))
    donor = flat(DONOR, with_part((8, 16, 16, 28), (30, 50)))  # half as high and as wide
    made = exchange_segment(receiver, donor, PART)
    np.testing.assert_array_equal(made.label_map, with_part((10, 20, 26, 44)))
    # Two pixels from each edge the colours are the donor's own: both bodies are equally bright.
    assert np.all(made.image[:, 12:24, 22:30] == np.array(DONOR[2])[:, None, None])
    assert np.all(made.image[:, 12:24, 34:42] == np.array(DONOR[3])[:, None, None])


def test_a_segment_of_the_same_size_comes_over_to_the_bit() -> None:
    generator = np.random.default_rng(0)
    maps = with_part((10, 20, 26, 44)), with_part((4, 6, 20, 30))
    receiver, donor = (
        Picture(
            np.where(label_map == OTHER, 90, generator.integers(0, 256, (3, HEIGHT, WIDTH))).astype(np.uint8), label_map
        )
        for label_map in maps
    )
    made = exchange_segment(receiver, donor, PART)
    np.testing.assert_array_equal(made.image[:, 13:23, 23:41], donor.image[:, 7:17, 9:27])
    np.testing.assert_array_equal(made.label_map[10:26, 20:44], donor.label_map[4:20, 6:30])


@given(
    arrays(np.uint8, (2, 12, 14), elements=st.integers(0, 3)),
    st.integers(0, 2**32 - 1),
)
def test_all_else_is_the_receiver_to_the_bit(label_maps: np.ndarray, seed: int) -> None:
    generator = np.random.default_rng(seed)
    maps = [np.pad(label_map, 9) for label_map in label_maps]
    receiver, donor = (Picture(generator.integers(0, 256, (3, *m.shape), dtype=np.uint8), m) for m in maps)
    kept = receiver.image.copy(), receiver.label_map.copy()
    made = exchange_segment(receiver, donor, PART)
    old, new = np.isin(receiver.label_map, PART), np.isin(made.label_map, PART)
    np.testing.assert_array_equal(made.label_map[~(old | new)], receiver.label_map[~(old | new)])
    far = ~near(old | new, REACH)
    np.testing.assert_array_equal(made.image[:, far], receiver.image[:, far])
    np.testing.assert_array_equal(receiver.image, kept[0])  # the given ones are not written to
    np.testing.assert_array_equal(receiver.label_map, kept[1])
    again = exchange_segment(receiver, donor, PART)
    assert np.array_equal(again.image, made.image) and np.array_equal(again.label_map, made.label_map)


def test_a_segment_that_only_the_receiver_has_is_removed() -> None:
    receiver = flat(RECEIVER, with_part((10, 20, 26, 44)))
    made = exchange_segment(receiver, flat(DONOR, body()), PART)
    np.testing.assert_array_equal(made.label_map, body())
    np.testing.assert_array_equal(made.image, flat(RECEIVER, body()).image)


def test_a_segment_that_only_the_donor_has_is_added_where_it_has_it() -> None:
    # The receiver's body is the donor's, twice as large: so is what stands on it.
    receiver = flat(RECEIVER, np.kron(body(), np.ones((2, 2), dtype=np.uint8)))
    made = exchange_segment(receiver, flat(DONOR, with_part((10, 20, 26, 44))), PART)
    np.testing.assert_array_equal(made.label_map, np.kron(with_part((10, 20, 26, 44)), np.ones((2, 2), dtype=np.uint8)))
    assert np.all(made.image[:, 26:46, 46:60] == np.array(DONOR[2])[:, None, None])


def test_what_sticks_out_is_cut_off() -> None:
    receiver, donor = body(), with_part((10, 20, 26, 44))
    receiver = np.roll(receiver, 30, axis=1)
    receiver[:, :30] = 0  # half of the body is left, at the right edge: 20 columns of 40
    donor = np.roll(donor, 10, axis=1)
    made = exchange_segment(flat(RECEIVER, receiver), flat(DONOR, donor), PART)
    # The body's box is carried from columns 20..60 to 40..60: the part from 30..54 to 45..57.
    expected = receiver.copy()
    expected[10:26, 45:57] = 3
    expected[10:26, 45:51] = 2
    np.testing.assert_array_equal(made.label_map, expected)

    nothing_in_common = flat(DONOR, np.where(donor == OTHER, 9, donor).astype(np.uint8)[:, 12:])
    small = flat(RECEIVER, receiver[:, :40])
    made = exchange_segment(small, nothing_in_common, PART)  # from a picture of 48 columns to one of 40
    assert np.flatnonzero(np.isin(made.label_map, PART).any(axis=0)).tolist() == list(range(15, 35))


def test_where_neither_has_it_the_receiver_is_unchanged() -> None:
    receiver = flat(RECEIVER, body())
    assert exchange_segment(receiver, flat(DONOR, body((20, 30))), PART) is receiver


@pytest.mark.parametrize(("body_light", "gain"), [(90, 1.0), (99, 1.1), (81, 0.9), (200, 1.25), (20, 0.8)])
def test_light_is_matched_and_hue_is_not(body_light: int, gain: float) -> None:
    receiver = flat({**RECEIVER, 1: (body_light,) * 3}, with_part((10, 20, 26, 44)))
    made = exchange_segment(receiver, flat({**DONOR, 2: (30, 100, 200)}, with_part((10, 20, 26, 44))), PART)
    assert made.image[:, 18, 25].tolist() == [round(value * gain) for value in (30, 100, 200)]


def test_the_background_s_colour_is_no_light() -> None:
    made = [
        exchange_segment(
            flat({**RECEIVER, 0: colour}, with_part((10, 20, 26, 44))), flat(DONOR, with_part((10, 20, 26, 44))), PART
        )
        for colour in ((0, 0, 0), (255, 0, 255))
    ]
    np.testing.assert_array_equal(made[0].image[:, 10:26, 20:44], made[1].image[:, 10:26, 20:44])


def test_a_line_of_one_pixel_is_no_ghost() -> None:
    donor = body((200, 300))
    donor[20, 15:45] = 2
    made = exchange_segment(flat(RECEIVER, body((200, 300))), flat(DONOR, donor), PART)
    expected = 0.75 * np.array(DONOR[2]) + 0.25 * np.array(GREY)
    assert np.abs(made.image[:, 20, 30] - expected).max() <= 1


def test_the_edge_is_soft_and_without_the_donor_s_surroundings() -> None:
    receiver, donor = flat(RECEIVER, with_part((10, 20, 26, 44))), flat(DONOR, with_part((10, 20, 26, 44)))
    row = exchange_segment(receiver, donor, PART).image[2, 18, 14:26].astype(int)
    assert row[0] == GREY[2] and row[-1] == DONOR[2][2]
    assert np.all(np.diff(row) >= 0)  # from grey to blue, with no rim of the donor's or the old segment's
    assert len(set(row.tolist())) > 2


def test_what_cannot_be_exchanged_is_said() -> None:
    receiver = flat(RECEIVER, body())
    with pytest.raises(InputError, match="background"):
        exchange_segment(receiver, receiver, (0, 1))
    alone = flat(RECEIVER, np.full((8, 8), 2, dtype=np.uint8))
    with pytest.raises(InputError, match="consists of the segment alone"):
        exchange_segment(alone, receiver, PART)
    made = exchange_segment(flat(RECEIVER, with_part((10, 20, 26, 44))), alone, PART)  # as a donor it is welcome
    assert np.all(made.label_map[10:26, 20:44] == 2)


def test_a_far_too_large_segment_is_cut_before_it_is_scaled() -> None:
    # The donor's body is one pixel, its segment 60 x 60: in the receiver it would be 2,400 x 2,400.
    donor = np.zeros((61, 61), dtype=np.uint8)
    donor[:60, :60], donor[60, 60] = 2, OTHER
    receiver = np.zeros((40, 40), dtype=np.uint8)
    receiver[:, :] = OTHER
    made = exchange_segment(flat(RECEIVER, receiver), flat(DONOR, donor), PART)
    assert made.image.shape == (3, 40, 40)


@pytest.mark.parametrize("seen", [Box(0, 0, 8, 5), Box(0, 4, 8, 12), Box(0, 0, 3, 12), Box(2, 0, 8, 12)])
def test_of_a_part_that_overhangs_the_frame_what_is_inside_is_drawn(seen: Box) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 12), dtype=np.uint8)
    label_map = np.random.default_rng(1).integers(1, 9, (8, 12), dtype=np.uint8)
    everywhere = np.ones((8, 12), dtype=np.bool_)
    shifted = Box(seen.top + 3, seen.left + 5, seen.bottom + 3, seen.right + 5)
    colours, class_ids = _scaled(Picture(image, label_map), everywhere, Box(3, 5, 11, 17), shifted)
    np.testing.assert_array_equal(colours.transpose(2, 0, 1), image[:, *seen.slices])
    np.testing.assert_array_equal(class_ids, label_map[seen.slices])
