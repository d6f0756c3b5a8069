"""Pictures as data: addresses, so that a page is one file that asks the network for nothing."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.explanation.overlay import map_layer


def picture_uri(picture: NDArray[np.uint8], *, longest: int) -> str:
    """A picture, uint8 [3, h, w], as WebP; shrunk if a side is longer than `longest` pixels."""
    if picture.ndim != 3 or picture.shape[0] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"a picture is uint8 [3, h, w]; got {picture.dtype} {picture.shape}")
    return _webp(Image.fromarray(np.ascontiguousarray(np.moveaxis(picture, 0, -1))), longest)


def map_uri(saliency: NDArray[np.floating], *, longest: int) -> str:
    """A saliency map, [h, w] in [0, 1], as a WebP with opacity, to lie over its picture."""
    return _webp(Image.fromarray(np.moveaxis(map_layer(saliency), 0, -1).copy()), longest)


def sheet_uri(encoded: bytes, *, longest: int) -> str:
    """An encoded picture (PNG) as WebP: a photo sheet takes a tenth of its PNG."""
    with Image.open(io.BytesIO(encoded)) as opened:
        return _webp(opened.convert("RGB"), longest)


def _webp(image: Image.Image, longest: int) -> str:
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82, alpha_quality=80, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
