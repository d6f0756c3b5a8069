import io

import numpy as np
import pytest
from PIL import Image

from tasks.segments.picture_size import fits
from tasks.segments.pictures import decode_image, encode_label_map

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))


def encoded(form: str, orientation: int | None = None) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    PHOTO.save(buffer, form, **({"exif": exif} if orientation else {}))
    return buffer.getvalue()


def mask(height: int, width: int) -> bytes:
    return encode_label_map(np.zeros((height, width), dtype=np.uint8))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_a_mask_has_to_fit_the_upright_photo(form: str, orientation: int | None) -> None:
    photo = encoded(form, orientation)
    _, height, width = decode_image(photo, "x").shape
    assert {height, width} == {6, 9}
    assert fits(mask(height, width), photo)
    for other in ((width, height), (height + 1, width), (height, width - 1), (1, 1)):
        assert not fits(mask(*other), photo)


@pytest.mark.parametrize("broken", [b"", b"no picture", encoded("PNG")[:20]])
def test_what_cannot_be_read_is_left_to_the_reader(broken: bytes) -> None:
    assert fits(broken, encoded("PNG"))
    assert fits(mask(6, 9), broken)
