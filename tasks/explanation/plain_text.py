"""Names on pictures: any text, in one line, with the letters that the font has, cut to a width.

The font is DejaVu Sans out of matplotlib's own files: it is on every machine where this runs.
"""

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

ELLIPSIS = "…"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def drawable(text: str) -> str:
    """The text in one line: white space as single spaces, letters that the font lacks as a replacement mark."""
    known = _letters()
    return "".join(letter if ord(letter) in known else UNKNOWN for letter in " ".join(text.split()))


def fitting(text: str, width: float, *, size: int, bold: bool = False) -> str:
    """The drawable text, its end cut off with an ellipsis if it is wider than `width` pixels at `size` pixels."""
    text, measure = drawable(text), font(size, bold=bold)
    if measure.getlength(text) <= width:
        return text
    while text and measure.getlength(text + ELLIPSIS) > width:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at a size in pixels."""
    return ImageFont.truetype(_font_file(bold), size)


def _font_file(bold: bool) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@cache
def _letters() -> frozenset[int]:
    """Code points that both weights have."""
    regular, heavy = (FT2Font(str(_font_file(bold))).get_charmap() for bold in (False, True))
    return frozenset(regular) & frozenset(heavy)
