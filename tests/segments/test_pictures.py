import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.segments.pictures import (
    as_jpeg_or_png,
    check_label_map,
    decode_image,
    decode_label_map,
    encode_image,
    encode_label_map,
)

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (3, 5, 7), dtype=np.uint8)
LABELS = RNG.integers(0, 256, (5, 7), dtype=np.uint8)


def encoded(picture: Image.Image, form: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **settings)
    return buffer.getvalue()


def test_a_photo_survives_png() -> None:
    assert np.array_equal(decode_image(encode_image(PHOTO), "a.png"), PHOTO)


def test_a_photo_lies_in_memory_as_pillow_takes_it() -> None:
    # So that resizing it copies nothing.
    pixels = decode_image(encode_image(PHOTO), "a.png")
    assert pixels.transpose(1, 2, 0).flags.c_contiguous and not pixels.flags.writeable


def test_label_map_survives_with_every_id() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(8, 32)
    assert np.array_equal(decode_label_map(encode_label_map(every), "a.png"), every)


def test_grey_and_transparent_photos_become_rgb() -> None:
    grey = encoded(Image.fromarray(LABELS), "PNG")
    assert np.array_equal(decode_image(grey, "a.png"), np.stack([LABELS] * 3))
    transparent = Image.fromarray(np.dstack([PHOTO.transpose(1, 2, 0), np.zeros((5, 7), np.uint8)]))
    assert np.array_equal(decode_image(encoded(transparent, "PNG"), "a.png"), PHOTO)


def test_a_photo_is_turned_upright() -> None:
    picture = Image.fromarray(PHOTO.transpose(1, 2, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    turned = decode_image(encoded(picture, "PNG", exif=exif), "a.png")
    assert np.array_equal(turned, np.rot90(PHOTO, -1, axes=(1, 2)))


def test_jpeg_and_png_keep_their_bytes_and_webp_becomes_png() -> None:
    picture = Image.fromarray(PHOTO.transpose(1, 2, 0))
    for form in ("JPEG", "PNG"):
        data = encoded(picture, form)
        kept, pixels = as_jpeg_or_png(data, "a")
        assert kept == data and np.array_equal(pixels, decode_image(data, "a"))
    kept, pixels = as_jpeg_or_png(encoded(picture, "WEBP", lossless=True), "a.webp")
    assert kept.startswith(b"\x89PNG")
    assert np.array_equal(decode_image(kept, "a.png"), pixels) and np.array_equal(pixels, PHOTO)


def test_a_palette_index_is_the_class_id() -> None:
    palette = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    for bits in (2, 8):
        assert decode_label_map(encoded(palette, "PNG", bits=bits), "a.png").tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("mode", ["1", "RGB", "RGBA", "LA", "I;16"])
def test_a_label_map_of_another_depth_is_refused(mode: str) -> None:
    data = encoded(Image.new(mode, (3, 2)), "PNG")
    with pytest.raises(InputError, match=r"m\.png is not one byte a pixel"):
        decode_label_map(data, "m.png")


def test_greys_of_four_bits_are_refused_since_pillow_stretches_them() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)  # 2 x 1 pixels, 4 bits, grey
    pixels = zlib.compress(bytes([0, 0x12]))  # no filter; ids 1 and 2
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    assert np.asarray(Image.open(io.BytesIO(data))).tolist() == [[17, 34]]
    with pytest.raises(InputError, match=r"m\.png is not one byte a pixel \(mode L, 4 bits\)"):
        decode_label_map(data, "m.png")


def test_sixteen_bits_a_channel_are_refused() -> None:
    with pytest.raises(InputError, match=r"a\.png has more than 8 bits"):
        decode_image(encoded(Image.new("I;16", (3, 2)), "PNG"), "a.png")


@pytest.mark.parametrize("data", [b"", b"not a picture", encode_image(PHOTO)[:60], encode_image(PHOTO)[:-30]])
def test_broken_files_are_named(data: bytes) -> None:
    for read in (decode_image, decode_label_map, as_jpeg_or_png):
        with pytest.raises(InputError, match=r"x\.png (cannot be read|is not one byte)") as raised:
            read(data, "x.png")
        assert "\n" not in str(raised.value)


def test_other_formats_are_refused() -> None:
    with pytest.raises(InputError, match="not JPEG, PNG, WEBP"):
        decode_image(encoded(Image.new("RGB", (3, 2)), "BMP"), "a.bmp")
    with pytest.raises(InputError, match="not PNG"):
        decode_label_map(encoded(Image.new("L", (3, 2)), "JPEG"), "m.jpg")


@pytest.mark.parametrize("limit", [34, 20, 10])  # 35 pixels: Pillow warns up to twice its limit, then raises
def test_picture_bombs_are_refused(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for read, data in ((decode_image, encode_image(PHOTO)), (decode_label_map, encode_label_map(LABELS))):
        with pytest.raises(InputError, match=f"bomb.png has more than {limit} pixels"):
            read(data, "bomb.png")


def test_a_label_map_must_fit_its_photo_and_its_classes() -> None:
    labels = np.array([[0, 1], [1, 2]], np.uint8)
    check_label_map(labels, np.zeros((3, 2, 2), np.uint8), {0: "a", 1: "b", 2: "c"}, "m.png", "classes.json")
    with pytest.raises(InputError, match=r"m\.png is 2 x 2 pixels, its photo 4 x 3"):
        check_label_map(labels, np.zeros((3, 3, 4), np.uint8), {0: "a", 1: "b", 2: "c"}, "m.png", "classes.json")
    with pytest.raises(InputError, match=r"m\.png has the class id 2, which classes\.json lacks"):
        check_label_map(labels, np.zeros((3, 2, 2), np.uint8), {0: "a", 1: "b"}, "m.png", "classes.json")


def test_arrays_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_label_map(np.zeros((2, 2), np.int64))
    with pytest.raises(ValueError, match="uint8"):
        encode_image(np.zeros((2, 2, 3), np.uint8))
