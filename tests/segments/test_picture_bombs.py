"""Pictures that would take the machine's memory, and odd ones that are fine."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.segments.pictures import as_jpeg_or_png, decode_image, decode_label_map

EDGE = 60_000
HOUSE = Path(__file__).parent.parent.parent
FRAMES = [Image.new("RGB", (3, 2), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes, more: bytes = b"", *, colour: int = 0, depth: int = 8) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """A small photo that says it is of another size."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def gigabyte() -> bytes:
    """About a megabyte that unpacks to a gigabyte of zeros."""
    packer, megabyte = zlib.compressobj(1), bytes(1 << 20)
    return b"".join(packer.compress(megabyte) for _ in range(1 << 10)) + packer.flush()


# Python, numpy and Pillow are loaded, then nothing of half a gigabyte can be had any more.
DECODER = """
import json, resource, sys
from pathlib import Path
from tasks.errors import InputError
from tasks.segments.pictures import as_jpeg_or_png, decode_image, decode_label_map
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), used + (1 << 29)))
said = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (decode_image, decode_label_map, as_jpeg_or_png):
        try:
            read(path.read_bytes(), path.name)
            said[f"{path.name} {read.__name__}"] = "read"
        except InputError as error:
            said[f"{path.name} {read.__name__}"] = str(error)
print(json.dumps(said))
"""


def test_bombs_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    packed, empty = gigabyte(), zlib.compress(b"")
    assert len(packed) < 8 << 20
    bombs = {
        "wide.png": png(EDGE, EDGE, empty),
        "colours.png": png(EDGE, EDGE, empty, colour=2),
        "wide.jpg": jpeg(EDGE, EDGE),
        "high.png": png(1, 0x7FFFFFFF, empty),
        "text.png": png(2, 2, empty, chunk(b"zTXt", b"a\0\0" + packed)),
        "more-text.png": png(2, 2, empty, chunk(b"iTXt", b"a\0\1\0\0\0" + packed)),
        "profile.png": png(2, 2, empty, chunk(b"iCCP", b"a\0\0" + packed)),
    }
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)
    # Only as many pixels are unpacked as the picture has.
    (tmp_path / "stream.png").write_bytes(png(2, 2, packed))
    done = subprocess.run(
        [sys.executable, "-c", DECODER, str(tmp_path)], cwd=HOUSE, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) == 3 * (len(bombs) + 1)
    for what, answer in said.items():
        name = what.split()[0]
        assert answer == "read" if name == "stream.png" else name in answer, what
    for name in ("wide.png", "colours.png", "high.png"):
        assert f"has more than {Image.MAX_IMAGE_PIXELS} pixels" in said[f"{name} decode_label_map"]
    assert f"has more than {Image.MAX_IMAGE_PIXELS} pixels" in said["wide.jpg decode_image"]


def test_nothing_here_takes_the_limit_away() -> None:
    assert Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own: a picture of 256 MB


@pytest.mark.parametrize("data", [png(0, 4, zlib.compress(b"")), png(4, 0, zlib.compress(b"")), jpeg(0, 8), jpeg(8, 0)])
def test_pictures_without_pixels_are_refused(data: bytes) -> None:
    for read in (decode_image, decode_label_map, as_jpeg_or_png):
        with pytest.raises(InputError, match=r"none\.png cannot be read"):
            read(data, "none.png")


@pytest.mark.parametrize("form", ["PNG", "WEBP", "MPO"])
def test_of_several_frames_the_first_is_taken(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "MPO" else {}
    found = decode_image(encoded(FRAMES[0], form, save_all=True, append_images=FRAMES[1:], **options), "a")
    assert np.abs(found.reshape(3, -1).T.astype(int) - (255, 0, 0)).max() <= 4  # JPEG is not exact


def test_ink_becomes_light() -> None:
    cyan, magenta, yellow, black = 10, 60, 200, 40
    found = decode_image(encoded(Image.new("CMYK", (8, 8), (cyan, magenta, yellow, black)), "JPEG", quality=100), "a")
    expected = [(255 - ink) * (255 - black) / 255 for ink in (cyan, magenta, yellow)]
    assert np.abs(found.reshape(3, -1).T - expected).max() <= 4


def test_sixteen_bits_a_channel_of_colour_are_cut_to_eight() -> None:
    colours = np.array([[[0x1234, 0xABCD, 0xFFFF]]], dtype=">u2")
    data = png(1, 1, zlib.compress(b"\0" + colours.tobytes()), colour=2, depth=16)
    assert decode_image(data, "a").ravel().tolist() == [0x12, 0xAB, 0xFF]


def test_a_palette_gives_its_colours_and_its_index() -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([9, 8, 7, 6, 5, 4])
    data = encoded(picture, "PNG")
    assert decode_image(data, "a").tolist() == [[[9, 6]], [[8, 5]], [[7, 4]]]
    assert decode_label_map(data, "a").tolist() == [[0, 1]]
