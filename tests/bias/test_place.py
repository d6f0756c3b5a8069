import numpy as np

from tasks.bias.picture import Box, Picture
from tasks.bias.place import place_of_segment


def drawn(shape: tuple[int, int], boxes: dict[int, Box]) -> Picture:
    label_map = np.zeros(shape, dtype=np.uint8)
    for class_id, box in boxes.items():
        label_map[box.slices] = class_id
    return Picture(np.zeros((3, *shape), dtype=np.uint8), label_map)


FACE = {1: Box(10, 20, 50, 60), 2: Box(20, 25, 26, 35), 3: Box(20, 45, 26, 55)}  # a face and two eyes
GLASSES = Box(18, 23, 28, 57)


def place(receiver: Picture, donor: Picture) -> Box:
    return place_of_segment(receiver, donor, donor.label_map == 9)


def moved(box: Box, scale: int, down: int, across: int) -> Box:
    return Box(box[0] * scale + down, box[1] * scale + across, box[2] * scale + down, box[3] * scale + across)


def test_a_shift_and_a_scale_of_all_parts_carry_the_segment() -> None:
    donor = drawn((80, 80), {**FACE, 9: GLASSES})
    donor.label_map[20:26, 25:35], donor.label_map[20:26, 45:55] = 2, 3  # the eyes are seen through them
    receiver = drawn((300, 300), {class_id: moved(box, 3, 17, 40) for class_id, box in FACE.items()})
    assert place(receiver, donor) == moved(GLASSES, 3, 17, 40)


def test_parts_that_only_one_shows_do_not_count() -> None:
    hat = {5: Box(0, 0, 10, 80)}
    donor = drawn((80, 80), {**hat, **FACE, 9: Box(30, 30, 34, 50)})
    receiver = drawn((80, 80), {**FACE, 6: Box(60, 0, 80, 80)})
    assert place(receiver, donor) == Box(30, 30, 34, 50)


def test_near_parts_count_more_than_far_ones() -> None:
    hair = Box(60, 0, 80, 80)
    donor = drawn((80, 80), {**FACE, 5: hair, 9: Box(30, 30, 34, 50)})
    receiver = drawn((120, 80), {**FACE, 5: moved(hair, 1, 30, 0)})  # longer hair
    top, left, bottom, right = place(receiver, donor)
    assert (left, right) == (30, 50)
    alike = place(drawn((120, 80), FACE), donor)
    # Counted alike, each edge of the hair's box would pull as much as the other three parts' together.
    assert alike == Box(30, 30, 34, 50)
    assert abs(top - 30) <= 4 and abs(bottom - 34) <= 4


def test_with_no_part_in_common_the_whole_pictures_count() -> None:
    donor, receiver = drawn((80, 80), {1: Box(0, 0, 9, 9), 9: Box(20, 40, 30, 60)}), drawn((40, 160), {})
    assert place(receiver, donor) == Box(10, 80, 15, 120)


def test_a_box_has_a_pixel_at_least() -> None:
    donor, receiver = drawn((80, 80), {9: Box(20, 40, 22, 42)}), drawn((4, 4), {})
    assert place(receiver, donor) == Box(1, 2, 2, 3)
