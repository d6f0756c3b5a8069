"""The contact sheet of a search: the photo, then what was found, each with its part outlined and the node's picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tasks.explanation.part_picture import PartPicture
from tasks.explanation.plain_text import drawable, fitting, font
from tasks.explanation.search_record import PhotoSearch
from tasks.explanation.sheet import draw_tile, enlarged
from tasks.explanation.wording import PERCENT, closest
from tasks.metric.search_index import SearchDistance

TILE = 168  # pixels
INNER = 4
GAP = 20
MARGIN = 24
HEAD = 26  # above a card's pictures: rank and distance
RANK = 34  # room for the rank, of three digits at most
CAPTION = 42  # below them: name and label
STEP = HEAD + TILE + CAPTION + GAP
GROUND, INK, QUIET = "#ffffff", "#1b1e23", "#5a616b"
OUTLINE, SHADE = (255, 210, 0), (0, 0, 0)
DISTANCES: dict[SearchDistance, str] = {
    "squared_euclidean": "squared Euclidean distance of the node's own embeddings",
    "cosine": "cosine distance of the node's own embeddings",
    "snr": "SNR distance of the node's own embeddings",
    "composed": "composed distance, the weighted sum of the leaves'",
}


def write_search_sheet(searched: PhotoSearch, path: Path) -> None:
    """Write the sheet as PNG. Names and labels are data: they are drawn as plain text whatever they hold."""
    # The root's own picture is the photo: one picture a card, and more cards a row.
    columns, card = (5, TILE) if searched.shown.picture is None else (3, 2 * TILE + INNER)
    width = 2 * MARGIN + columns * card + (columns - 1) * GAP
    rows = 1 + -(-len(searched.found) // columns)
    sheet = Image.new("RGB", (width, 2 * MARGIN - GAP + rows * STEP), GROUND)
    _draw_card(sheet, (MARGIN, MARGIN), card, searched.shown, ("searched for", "", ""), (searched.name, ""))
    _draw_words(sheet, searched, MARGIN + card + GAP)
    for place, found in enumerate(searched.found):
        row, column = divmod(place, columns)
        at = (MARGIN + column * (card + GAP), MARGIN + (row + 1) * STEP)
        head = (str(place + 1), f"{found.distance:#.3g}", closest(found.percentile))
        split = "training" if found.split == "train" else found.split
        _draw_card(sheet, at, card, found.shown, head, (found.image_id, f"label {found.label}, {split}"))
    sheet.save(path, "PNG", compress_level=3)


def _draw_words(sheet: Image.Image, searched: PhotoSearch, left: int) -> None:
    """Beside the photo that was searched for: by what, and how to read the cards."""
    draw, top, room = ImageDraw.Draw(sheet), MARGIN + HEAD, sheet.width - MARGIN - left
    draw.text((left, top), fitting(searched.node, room, size=26, bold=True), INK, font(26, bold=True))
    shown = "" if searched.shown.picture is None else " that show it"
    lines = [
        f"The {len(searched.found)} nearest of {searched.images} photos{shown}.",
        f"Beside the rank: the {DISTANCES[searched.distance]}; 0 is alike.",
    ]
    if any(found.percentile is not None for found in searched.found):
        lines.append(f"Closest 5{PERCENT}: of the pairs of validation photos, 5{PERCENT} are at least as close.")
        if searched.distance != "composed":
            lines.append("That is by the bounded SNR distance: another distance than the rank's, so in another order.")
    if searched.left_out:
        lines.append(f"Left out, since it is the photo itself: {', '.join(searched.left_out)}.")
    for number, line in enumerate(lines):
        draw.text((left, top + 48 + 22 * number), fitting(line, room, size=14), QUIET, font(14))


def _draw_card(
    sheet: Image.Image,
    at: tuple[int, int],
    card: int,
    shown: PartPicture,
    head: tuple[str, str, str],
    below: tuple[str, str],
) -> None:
    """The photo and the node's picture; rank, distance and percentile above, name and label below."""
    draw = ImageDraw.Draw(sheet)
    left, top = at
    rank, distance, percentile = map(drawable, head)
    draw.text((left, top + HEAD - 8), rank, INK, font(14, bold=True), anchor="ls")
    draw.text((left + RANK, top + HEAD - 8), distance, INK, font(13), anchor="ls")
    draw.text((left + card, top + HEAD - 8), percentile, QUIET, font(12), anchor="rs")
    tiles = [outlined(shown)] if shown.picture is None else [outlined(shown), enlarged(shown.picture, TILE)]
    for column, tile in enumerate(tiles):
        draw_tile(sheet, tile, left + column * (TILE + INNER), top + HEAD, TILE)
    for line, (text, colour) in enumerate(zip(below, (INK, QUIET), strict=True), start=1):
        words = fitting(text, card, size=13)
        draw.text((left, top + HEAD + TILE + 18 * line), words, colour, font(13), anchor="ls")


def outlined(shown: PartPicture) -> NDArray[np.uint8]:
    """A photo at the size of a tile, uint8 [3, h, w], with the part's edge drawn outside of it: yellow, then black."""
    photo = enlarged(shown.image, TILE)
    if shown.part is None:
        return photo
    height, width = photo.shape[1:]
    part = Image.fromarray(shown.part.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    part = part.point(lambda value: 255 * (value > 127))
    around, beyond = part.filter(ImageFilter.MaxFilter(3)), part.filter(ImageFilter.MaxFilter(5))
    drawn = photo.copy()
    for outer, inner, colour in ((beyond, around, SHADE), (around, part, OUTLINE)):
        drawn[:, (np.asarray(outer) > 0) & (np.asarray(inner) == 0)] = np.array(colour, dtype=np.uint8)[:, None]
    return drawn
