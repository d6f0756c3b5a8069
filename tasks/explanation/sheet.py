"""An SFAM sheet: pairs of pictures with their maps, one pair a row, as one PNG to leaf through."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tasks.explanation.distance_colour import distance_colour, ink_on
from tasks.explanation.overlay import overlay
from tasks.explanation.plain_text import fitting, font
from tasks.explanation.wording import alike

TILE = 192  # pixels: a 48-pixel picture is shown four times as large
GAP = 12
MARGIN = 20
TITLE = 64
CAPTION = 62
WIDTH = 2 * MARGIN + 4 * TILE + 3 * GAP
NOTE = 176  # room for what stands between the two names
GROUND, CARD, INK, QUIET = "#ffffff", "#eceef1", "#1b1e23", "#5a616b"


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """One pair of a sheet.

    Attributes:
        picture_a: uint8 [3, h, w]; a node's picture of A.
        picture_b: uint8 [3, h', w'], of B.
        map_a: SFAM of A, float32 [h, w] in [0, 1].
        map_b: SFAM of B, float32 [h', w'] in [0, 1].
        name_a: file name of A, shown as text.
        name_b: the same of B.
        label_a: A's label.
        label_b: B's label.
        distance: bounded distance in [0, 1].
        note: words of its own under the similarity; None for whether the labels are the same.

    Raises:
        ValueError: if a picture and its map differ in size.
    """

    picture_a: NDArray[np.uint8]
    picture_b: NDArray[np.uint8]
    map_a: NDArray[np.float32]
    map_b: NDArray[np.float32]
    name_a: str
    name_b: str
    label_a: str
    label_b: str
    distance: float
    note: str | None = None

    def __post_init__(self) -> None:
        for picture, saliency in ((self.picture_a, self.map_a), (self.picture_b, self.map_b)):
            if picture.shape[1:] != saliency.shape:
                raise ValueError(f"a picture and its map have one size; got {picture.shape[1:]} and {saliency.shape}")


def write_sheet(
    title: str, rows: Sequence[SheetRow], path: Path, *, sides: tuple[str, str] = ("A", "B"), tile: int = TILE
) -> None:
    """Writes a PNG: a title, then for each pair A, A with its map, B with its map, B, and a caption.

    With tiles as they are the sheet is `WIDTH` pixels wide and TITLE + rows * (TILE + CAPTION) pixels high.

    Args:
        title: over the sheet.
        rows: the pairs.
        path: the PNG.
        sides: what A and B are called on it.
        tile: longer side of a picture on it, pixels.

    Raises:
        ValueError: if there is no row.
    """
    if not rows:
        raise ValueError("a sheet needs at least one pair; got none")
    width = WIDTH + 4 * (tile - TILE)
    sheet = Image.new("RGB", (width, TITLE + len(rows) * (tile + CAPTION)), GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 10), fitting(title, width - 2 * MARGIN, size=19, bold=True), INK, font(19, bold=True))
    a, b = sides
    for column, head in enumerate((a, f"{a} with its map", f"{b} with its map", b)):
        draw.text((_left(column, tile) + tile // 2, TITLE - 6), head, QUIET, font(12), anchor="ms")
    for index, row in enumerate(rows):
        top = TITLE + index * (tile + CAPTION)
        _draw_tiles(sheet, row, top, tile)
        _draw_caption(draw, row, top + tile, sides, width)
    # Level 3 takes half the time of the default and 5 % more bytes.
    sheet.save(path, "PNG", compress_level=3)


def _draw_tiles(sheet: Image.Image, row: SheetRow, top: int, tile: int) -> None:
    pictures = (
        enlarged(row.picture_a, tile),
        _with_map(row.picture_a, row.map_a, tile),
        _with_map(row.picture_b, row.map_b, tile),
        enlarged(row.picture_b, tile),
    )
    for column, picture in enumerate(pictures):
        draw_tile(sheet, picture, _left(column, tile), top, tile)


def _draw_caption(draw: ImageDraw.ImageDraw, row: SheetRow, top: int, sides: tuple[str, str], width: int) -> None:
    """Name and label of A on the left, of B on the right; between them the similarity and how the labels compare."""
    a, b = sides
    texts = ((a, row.name_a, row.label_a, MARGIN, "l"), (b, row.name_b, row.label_b, width - MARGIN, "r"))
    room = (width - NOTE) // 2 - MARGIN - GAP
    for side, name, label, edge, anchor in texts:
        draw.text((edge, top + 18), fitting(f"{side}: {name}", room, size=12), INK, font(12), anchor=anchor + "s")
        draw.text((edge, top + 36), fitting(label, room, size=12), QUIET, font(12), anchor=anchor + "s")
    middle = width // 2
    fill = distance_colour(row.distance)
    draw.rounded_rectangle((middle - 62, top + 4, middle + 62, top + 23), 10, fill)
    draw.text(
        (middle, top + 14), f"similarity {alike(row.distance, 2)}", ink_on(fill), font(12, bold=True), anchor="mm"
    )
    note = row.note or ("same label" if row.label_a == row.label_b else "different labels")
    draw.text((middle, top + 38), fitting(note, NOTE, size=12), QUIET, font(12), anchor="ms")


def _with_map(picture: NDArray[np.uint8], saliency: NDArray[np.float32], tile: int) -> NDArray[np.uint8]:
    """The enlarged picture under the enlarged map: a map enlarged before it is coloured stays smooth."""
    large = enlarged(picture, tile)
    height, width = large.shape[1:]
    smooth = Image.fromarray(saliency.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return overlay(large, np.asarray(smooth))


def draw_tile(sheet: Image.Image, picture: NDArray[np.uint8], left: int, top: int, tile: int) -> None:
    """Draw a picture, uint8 [3, h, w], in the middle of a grey square of `tile` pixels, no side of it being longer."""
    sheet.paste(CARD, (left, top, left + tile, top + tile))
    height, width = picture.shape[1:]
    drawn = Image.fromarray(np.ascontiguousarray(np.moveaxis(picture, 0, -1)))
    sheet.paste(drawn, (left + (tile - width) // 2, top + (tile - height) // 2))


def enlarged(picture: NDArray[np.uint8], longest: int = TILE) -> NDArray[np.uint8]:
    """A picture, uint8 [3, h, w], resized so that its longer side is `longest` pixels."""
    height, width = picture.shape[1:]
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(picture, 0, -1)))
    return np.moveaxis(np.asarray(image.resize(size, Image.Resampling.BICUBIC)), -1, 0)


def _left(column: int, tile: int) -> int:
    return MARGIN + column * (tile + GAP)
