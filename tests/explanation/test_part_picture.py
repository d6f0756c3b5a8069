import numpy as np
import pytest

from tasks.explanation.part_picture import part_picture
from tasks.segments.compose import Fill

IMAGE = np.arange(3 * 12 * 20, dtype=np.uint8).reshape(3, 12, 20)
LABEL_MAP = np.zeros((12, 20), dtype=np.uint8)
LABEL_MAP[3:8, 10:14] = 5
LABEL_MAP[3:5, 2:4] = 6


@pytest.mark.parametrize(("fill", "outside"), [("black", 0), ("background", None)])
def test_the_whole_photo_with_the_part_alone(fill: Fill, outside: int | None) -> None:
    shown = part_picture(IMAGE, LABEL_MAP, (5,), "full", fill)
    assert shown.part is not None and shown.picture is not None
    np.testing.assert_array_equal(shown.image, IMAGE)
    for row in range(12):
        for column in range(20):
            here = LABEL_MAP[row, column]
            assert shown.part[row, column] == (here == 5)
            kept = here == 5 or (here == 0 and outside is None)
            expected = IMAGE[:, row, column] if kept else np.zeros(3)
            np.testing.assert_array_equal(shown.picture[:, row, column], expected)


def test_a_crop_in_the_photo_s_own_resolution() -> None:
    shown = part_picture(IMAGE, LABEL_MAP, (5, 6), "crop", "black")
    assert shown.part is not None and shown.picture is not None
    assert shown.part.sum() == 5 * 4 + 2 * 2
    # Twelve pixels wide and a margin of one on each side, as a square.
    assert shown.picture.shape == (3, 14, 14)
    alone = part_picture(IMAGE, LABEL_MAP, (5,), "crop", "black").picture
    assert alone is not None
    assert alone.shape == (3, 7, 7)
    np.testing.assert_array_equal(alone[:, 1:6, 2:6], IMAGE[:, 3:8, 10:14])
    assert alone[:, 0].max() == alone[:, 6].max() == 0


def test_the_root_is_the_photo() -> None:
    shown = part_picture(IMAGE, LABEL_MAP, None, "full", "black")
    assert (shown.part, shown.picture) == (None, None)
    np.testing.assert_array_equal(shown.image, IMAGE)


def test_a_photo_without_the_part_has_an_empty_part() -> None:
    for framing in ("full", "crop"):
        shown = part_picture(IMAGE, LABEL_MAP, (9,), framing, "black")
        assert shown.part is not None and shown.picture is not None
        assert not shown.part.any()
        assert shown.picture.shape == IMAGE.shape
