"""Pictures from strangers: an answer that the bytes bear out, or an error of ours."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from tasks.segments.pictures import as_jpeg_or_png, decode_image, decode_label_map, encode_label_map
from tests.segments.mutations import EXAMPLES, damaged, every_input

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, (9, 11), dtype=np.uint8)
COLOURS = Image.fromarray(RNG.integers(0, 256, (9, 11, 3), dtype=np.uint8))
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def with_palette() -> Image.Image:
    picture = Image.fromarray(LABELS)
    picture.putpalette([level for level in range(256) for _ in range(3)])
    return picture


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return exif


MASKS = (encode_label_map(LABELS), encoded(with_palette(), "PNG", bits=8), encoded(with_palette(), "PNG", bits=4))
PHOTOS = (
    encoded(COLOURS, "JPEG", exif=turned()),
    encoded(COLOURS, "JPEG", progressive=True),
    encoded(COLOURS.convert("CMYK"), "JPEG"),
    encoded(COLOURS, "MPO", save_all=True, append_images=[COLOURS]),
    encoded(COLOURS, "PNG", exif=turned()),
    encoded(COLOURS, "PNG", save_all=True, append_images=[COLOURS.rotate(180)]),
    encoded(COLOURS.convert("P"), "PNG", transparency=b"\1\2\3"),
    encoded(COLOURS, "WEBP", exif=turned()),
    encoded(COLOURS, "WEBP", lossless=True, save_all=True, append_images=[COLOURS.rotate(180)]),
)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of a PNG's chunks, up to the end of the picture."""
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        yield kind, data[place + 8 : place + 8 + length]
        if kind == b"IEND":
            return
        place += 12 + length


def read_by_hand(data: bytes) -> np.ndarray:
    """The bytes of a PNG with one channel, not interlaced, as its standard says: unpacked, then each row's filter."""
    found = list(chunks(data))
    width, height, depth, *_ = struct.unpack(">IIBBBBB", next(content for kind, content in found if kind == b"IHDR"))
    start = next(number for number, (kind, _) in enumerate(found) if kind == b"IDAT")
    packed = b""
    for kind, content in found[start:]:
        if kind != b"IDAT":
            break
        packed += content
    row = (width * depth + 7) // 8
    # Pillow stops when the picture is full, before the checksum at the stream's end.
    stream = zlib.decompressobj().decompress(packed, height * (row + 1))
    above, rows = [0] * row, []
    for y in range(height):
        kind, *line = stream[y * (row + 1) : (y + 1) * (row + 1)]
        for x in range(row):
            left, up, corner = line[x - 1] if x else 0, above[x], above[x - 1] if x else 0
            expected = left + up - corner
            nearest = min((left, up, corner), key=lambda value: abs(expected - value))
            line[x] = (line[x] + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
        above = line
        rows.append(line)
    lines = np.array(rows, dtype=np.uint8)
    if depth < 8:
        bits = np.unpackbits(lines, axis=1).reshape(height, -1, depth)
        lines = (bits << np.arange(depth)[::-1].astype(np.uint8)).sum(axis=2).astype(np.uint8)[:, :width]
    return lines


@pytest.mark.parametrize("examples", EXAMPLES)
def test_damaged_masks(examples: int) -> None:
    def check(case: tuple[bytes, bytes]) -> str | None:
        original, data = case
        found = decode_label_map(data, "mask.png")
        assert found.dtype == np.uint8 and found.ndim == 2
        if data == original:
            assert np.array_equal(found, LABELS)
            return "as it was"
        if np.array_equal(found, LABELS):
            return "the same pixels"
        assert np.array_equal(found, read_by_hand(data))
        return "other pixels"

    counts = every_input(examples, damaged(MASKS), check)
    assert counts["as it was"] and counts["refused"]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_masks_of_any_mode_and_size(examples: int) -> None:
    sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))

    def check(case: tuple[str, tuple[int, int], int]) -> str | None:
        mode, size, seed = case
        ids = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
        picture = Image.fromarray(ids)
        if mode == "P":
            picture.putpalette([level for level in range(256) for _ in range(3)])
        elif mode != "L":
            picture = picture.convert(mode)
        found = decode_label_map(encoded(picture, "PNG"), "mask.png")
        assert mode in ("L", "P") and np.array_equal(found, ids)
        return mode

    counts = every_input(examples, st.tuples(st.sampled_from(MODES), sizes, st.integers(0, 1 << 32)), check)
    assert set(counts) == {"L", "P", "refused"}


@pytest.mark.parametrize("examples", EXAMPLES)
def test_damaged_photos(examples: int) -> None:
    def check(case: tuple[bytes, bytes]) -> str | None:
        original, data = case
        kept, found = as_jpeg_or_png(data, "photo")
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[0] == 3
        assert kept == data or kept.startswith(b"\x89PNG")
        assert np.array_equal(decode_image(kept, "kept"), found)
        return "as it was" if data == original else None

    counts = every_input(examples, damaged(PHOTOS), check)
    assert counts["as it was"] and counts["refused"]
