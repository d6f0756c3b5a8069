"""A contact sheet of synthetic samples, each beside the two photos that it was made of."""

from pathlib import Path

from PIL import Image, ImageDraw

from tasks.explanation.plain_text import fitting, font
from tasks.explanation.sheet import draw_tile, enlarged
from tasks.segments.pictures import decode_image
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row

EXAMPLES = 64  # at most
TILE = 128  # pixels
INNER = 4
GAP = 24
MARGIN = 24
TITLE = 78
HEAD = 20  # above the pictures: which is which
CAPTION = 44  # below them: names and labels
COLUMNS = 4
CARD = 3 * TILE + 2 * INNER
STEP = HEAD + TILE + CAPTION
GROUND, INK, QUIET, MADE = "#ffffff", "#1b1e23", "#5a616b", "#b3261e"


def write_recombination_sheet(store: SegmentStore, path: Path) -> None:
    """Write examples of a store's synthetic samples as PNG, evenly from the first to the last.

    Names and labels are data: they are drawn as plain text whatever they hold.

    Args:
        store: of `write_recombined_store`: it has the samples' parents too.
        path: the PNG.

    Raises:
        InputError: a picture cannot be decoded.
    """
    columns = store.columns("train", ["image_id", "provenance"])
    made = [number for number, row in enumerate(columns["provenance"]) if row and row["kind"] != "copy"]
    shown = [made[i * len(made) // min(EXAMPLES, len(made))] for i in range(min(EXAMPLES, len(made)))]
    number_of = {name: number for number, name in enumerate(columns["image_id"])}
    wanted = []
    for number in shown:
        parents = (number_of[columns["provenance"][number][role]] for role in ("receiver", "donor"))
        wanted += [*parents, number]
    rows = store.at(wanted)
    across = min(COLUMNS, len(shown))
    size = (2 * MARGIN + across * (CARD + GAP) - GAP, TITLE + -(-len(shown) // across) * STEP + MARGIN)
    sheet = Image.new("RGB", size, GROUND)
    draw, room = ImageDraw.Draw(sheet), size[0] - 2 * MARGIN
    title = f"Synthetic samples: {columns['provenance'][made[0]]['segment']} exchanged"
    words = f"{len(shown)} of {len(made)} synthetic training samples. The third picture of each card is no photo."
    draw.text((MARGIN, 14), fitting(title, room, size=19, bold=True), INK, font(19, bold=True))
    draw.text((MARGIN, 44), fitting(words, room, size=13), QUIET, font(13))
    for card in range(len(shown)):
        down, column = divmod(card, across)
        _draw_card(sheet, draw, rows[3 * card : 3 * card + 3], MARGIN + column * (CARD + GAP), TITLE + down * STEP)
    sheet.save(path, "PNG", compress_level=3)


def _draw_card(sheet: Image.Image, draw: ImageDraw.ImageDraw, rows: list[Row], left: int, top: int) -> None:
    heads = (("receiver", QUIET), ("donor", QUIET), ("synthetic", MADE))
    for column, (row, (head, colour)) in enumerate(zip(rows, heads, strict=True)):
        x, y = left + column * (TILE + INNER), top + HEAD
        draw.text((x, y - 6), head, colour, font(12, bold=colour == MADE), anchor="ls")
        draw_tile(sheet, enlarged(decode_image(row.image, row.image_id), TILE), x, y, TILE)
        for line, (text, ink) in enumerate(((row.image_id, INK), (row.label, QUIET)), start=1):
            draw.text((x, y + TILE + 15 * line - 2), fitting(text, TILE - INNER, size=11), ink, font(11), anchor="ls")
