"""Bytes to pixels and back: photos (JPEG, PNG, WebP) and label maps (PNG, one byte a pixel).

Photos are turned upright as their EXIF tag says, as browsers and Hugging Face `datasets` do; a label map must fit the
upright photo. Nothing here trusts its input: a broken file, or one that would unpack to more pixels than Pillow
allows, is an InputError that names the file.
"""

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tasks.errors import InputError, reason_of

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP")
# Pillow names a JPEG with several frames (most phones write them) "MPO"; its first frame is a plain JPEG.
_KEPT_FORMATS = ("JPEG", "MPO", "PNG")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow's parsers raise on broken files.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error)
_PNG_GREY = 0


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a photo.

    Args:
        data: JPEG, PNG or WebP.
        name: the file's name, for the message.

    Returns:
        uint8 [3, h, w], RGB in 0..255, upright; a view of the pixels as they lie, [h, w, 3], that cannot be written to.
        Transparency is dropped; of an animation, the first frame is taken.

    Raises:
        InputError: it cannot be read, has too many pixels, or has more than 8 bits a channel.
    """
    return _pixels(_upright(_open(data, name, PHOTO_FORMATS), name))


def as_jpeg_or_png(data: bytes, name: str) -> tuple[bytes, NDArray[np.uint8]]:
    """A photo's bytes as they are kept, and its pixels.

    Args:
        data: JPEG, PNG or WebP.
        name: the file's name, for the message.

    Returns:
        The same bytes if they are JPEG or PNG, else the first frame as PNG (nothing is lost); and uint8 [3, h, w].

    Raises:
        InputError: as `decode_image`.
    """
    picture = _open(data, name, PHOTO_FORMATS)
    kept = picture.format in _KEPT_FORMATS
    upright = _upright(picture, name)
    return (data if kept else _png(upright)), _pixels(upright)


def decode_label_map(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a label map.

    Args:
        data: PNG in greys of 8 bits, or with a palette (whose index is the class id).
        name: the file's name, for the message.

    Returns:
        uint8 [h, w]: the class id of every pixel.

    Raises:
        InputError: it cannot be read, is no PNG, has too many pixels, or is not one byte a pixel.
    """
    picture = _open(data, name, ("PNG",))
    # Pillow stretches greys of 1, 2 and 4 bits to 0..255, so their ids would come out wrong: IHDR tells the depth.
    depth, colour = data[24], data[25]
    if picture.mode not in ("L", "P") or (colour == _PNG_GREY and depth != 8):
        raise InputError(
            f"label map {name} is not one byte a pixel (mode {picture.mode}, {depth} bits): "
            "save it as an 8-bit grey PNG whose values are class ids"
        )
    try:
        return np.asarray(picture, dtype=np.uint8)
    except _BROKEN as error:
        raise InputError(f"label map {name} cannot be read ({reason_of(error)}): save it again as PNG") from error


def check_label_map(
    label_map: NDArray[np.uint8], image: NDArray[np.uint8], classes: Mapping[int, str], name: str, class_file: str
) -> None:
    """Check that a label map fits its photo and its class table.

    Args:
        label_map: uint8 [h, w].
        image: uint8 [3, h, w].
        classes: class id to name.
        name: the label map's name, for the message.
        class_file: where the class table comes from, for the message.

    Raises:
        InputError: its size is not the photo's, or it has an id without a name.
    """
    if label_map.shape != image.shape[1:]:
        (height, width), (_, rows, columns) = label_map.shape, image.shape
        raise InputError(
            f"label map {name} is {width} x {height} pixels, its photo {columns} x {rows}: make them the same size"
        )
    unknown = [i for i in np.flatnonzero(np.bincount(label_map.ravel(), minlength=256)).tolist() if i not in classes]
    if unknown:
        raise InputError(
            f"label map {name} has the class id {unknown[0]}, which {class_file} lacks: add its name, or mend the map"
        )


def encode_label_map(label_map: NDArray[np.uint8]) -> bytes:
    """A label map, uint8 [h, w], as PNG in greys of 8 bits."""
    if label_map.dtype != np.uint8 or label_map.ndim != 2:
        raise ValueError(f"a label map is uint8 [h, w]; got {label_map.dtype} {label_map.shape}")
    return _png(Image.fromarray(label_map))


def encode_image(image: NDArray[np.uint8]) -> bytes:
    """A photo, uint8 [3, h, w], as PNG."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"an image is uint8 [3, h, w]; got {image.dtype} {image.shape}")
    return _png(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))))


def _open(data: bytes, name: str, formats: tuple[str, ...]) -> Image.Image:
    """Read the header only."""
    try:
        picture = Image.open(io.BytesIO(data), formats=formats)
    except _BOMBS as error:
        raise _too_large(name) from error
    except _BROKEN as error:
        what = "label map" if formats == ("PNG",) else "image"
        known = ", ".join(formats)
        raise InputError(f"{what} {name} cannot be read: broken, or not {known}; save it again") from error
    # Pillow only warns between its limit and twice that.
    if Image.MAX_IMAGE_PIXELS is not None and picture.width * picture.height > Image.MAX_IMAGE_PIXELS:
        raise _too_large(name)
    return picture


def _upright(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"image {name} has more than 8 bits a channel (mode {picture.mode}): save it with 8 bits")
    try:
        return ImageOps.exif_transpose(picture).convert("RGB")
    except _BOMBS as error:
        raise _too_large(name) from error
    except _BROKEN as error:
        raise InputError(f"image {name} cannot be read ({reason_of(error)}): replace it, or leave it out") from error


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _too_large(name: str) -> InputError:
    return InputError(f"{name} has more than {Image.MAX_IMAGE_PIXELS} pixels, Pillow's limit: make it smaller")
