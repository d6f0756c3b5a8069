from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tasks.explanation.part_picture import PartPicture
from tasks.explanation.plain_text import font
from tasks.explanation.search_record import FoundPhoto, PhotoSearch
from tasks.explanation.search_sheet import (
    GAP,
    GROUND,
    HEAD,
    INK,
    INNER,
    MARGIN,
    OUTLINE,
    SHADE,
    STEP,
    TILE,
    outlined,
    write_search_sheet,
)
from tasks.explanation.sheet import CARD

PART = np.zeros((TILE, TILE), dtype=bool)
PART[40:80, 60:100] = True
SHOWN = PartPicture(
    image=np.full((3, TILE, TILE), 90, dtype=np.uint8),
    part=PART,
    picture=np.where(PART, 90, 0).astype(np.uint8)[None].repeat(3, axis=0),
)
FOUND = FoundPhoto(
    image_id="c0001",
    split="train",
    label="smiling",
    distance=0.0123,
    bounded_distance=0.01,
    percentile=2.0,
    shown=SHOWN,
)
SEARCHED = PhotoSearch(
    node="hair",
    decision="own",
    distance="squared_euclidean",
    name="a.jpg",
    shown=SHOWN,
    images=300,
    left_out=(),
    found=(FOUND,) * 4,
)
WIDE = 2 * TILE + INNER


def sheet(tmp_path: Path, searched: PhotoSearch) -> np.ndarray:
    """A written sheet, uint8 [h, w, 3]."""
    write_search_sheet(searched, tmp_path / "search.png")
    with Image.open(tmp_path / "search.png") as image:
        assert image.format == "PNG"
        return np.asarray(image)


@pytest.mark.parametrize(("count", "rows"), [(1, 2), (3, 2), (4, 3), (12, 5)])
def test_three_cards_a_row_below_the_photo(tmp_path: Path, count: int, rows: int) -> None:
    drawn = sheet(tmp_path, replace(SEARCHED, found=(FOUND,) * count))
    assert drawn.shape == (2 * MARGIN - GAP + rows * STEP, 2 * MARGIN + 3 * WIDE + 2 * GAP, 3)


def test_the_photo_and_the_node_s_picture_are_side_by_side(tmp_path: Path) -> None:
    drawn = sheet(tmp_path, SEARCHED)
    places = [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]
    for row, column in places:
        top, left = MARGIN + row * STEP + HEAD, MARGIN + column * (WIDE + GAP)
        tile, picture = (drawn[top : top + TILE, x : x + TILE] for x in (left, left + TILE + INNER))
        np.testing.assert_array_equal(np.moveaxis(tile, -1, 0), outlined(SHOWN))
        np.testing.assert_array_equal(np.moveaxis(picture, -1, 0), SHOWN.picture)
    assert (drawn[MARGIN + 2 * STEP :, MARGIN + WIDE + GAP :] == 255).all()


def test_the_root_s_cards_are_the_photo_alone_five_a_row(tmp_path: Path) -> None:
    whole = replace(SHOWN, part=None, picture=None)
    found = replace(FOUND, shown=whole)
    drawn = sheet(tmp_path, replace(SEARCHED, shown=whole, found=(found,) * 6))
    assert drawn.shape == (2 * MARGIN - GAP + 3 * STEP, 2 * MARGIN + 5 * TILE + 4 * GAP, 3)
    top, left = MARGIN + STEP + HEAD, MARGIN + 4 * (TILE + GAP)
    assert (drawn[top : top + TILE, left : left + TILE] == 90).all()


def test_a_part_is_outlined_outside_of_itself() -> None:
    drawn = outlined(SHOWN)
    for row in range(TILE):
        for column in range(TILE):
            away = max(40 - row, row - 79, 60 - column, column - 99)
            expected = (90, 90, 90) if away <= 0 or away > 2 else (OUTLINE if away == 1 else SHADE)
            assert tuple(drawn[:, row, column]) == expected, (row, column)


def test_a_photo_keeps_its_shape(tmp_path: Path) -> None:
    part = np.zeros((20, 80), dtype=bool)
    tall = PartPicture(image=np.full((3, 20, 80), 90, np.uint8), part=part, picture=np.full((3, 80, 20), 50, np.uint8))
    assert outlined(tall).shape == (3, TILE // 4, TILE)
    drawn = sheet(tmp_path, replace(SEARCHED, shown=tall))
    tile = drawn[MARGIN + HEAD : MARGIN + HEAD + TILE, MARGIN : MARGIN + WIDE]
    card = np.array([int(CARD[i : i + 2], 16) for i in (1, 3, 5)])
    assert (tile[: TILE // 4, :TILE] == card).all()
    assert (tile[TILE // 2, :TILE] == 90).all()
    assert (tile[:, TILE + INNER + TILE // 2] == 50).all()
    assert (tile[:, TILE + INNER] == card).all()


@pytest.mark.parametrize("name", ["$x^2$ and $\\alpha$", "<script>alert(1)</script>", "c0001"])
def test_names_are_drawn_letter_by_letter(tmp_path: Path, name: str) -> None:
    drawn = sheet(tmp_path, replace(SEARCHED, found=(replace(FOUND, image_id=name),)))
    expected = Image.new("RGB", (WIDE, 24), GROUND)
    ImageDraw.Draw(expected).text((0, 18), name, INK, font(13), anchor="ls")
    top = MARGIN + STEP + HEAD + TILE
    np.testing.assert_array_equal(drawn[top : top + 24, MARGIN : MARGIN + WIDE], np.asarray(expected))


def test_names_and_labels_of_any_kind_stay_in_their_place(tmp_path: Path) -> None:
    for name in ("", "two\nlines\t.jpg", "顔 \udcff 🙂", "<b>$x$</b>" * 40, "$\\frac{"):
        odd = replace(FOUND, image_id=name, label=name)
        drawn = sheet(tmp_path, replace(SEARCHED, name=name, node=name, left_out=(name,), found=(odd, FOUND)))
        gap = np.s_[MARGIN + STEP + HEAD : MARGIN + 2 * STEP - GAP, MARGIN + WIDE : MARGIN + WIDE + GAP]
        assert (drawn[gap] == 255).all()
        assert (drawn[:, -MARGIN:] == 255).all()


def test_the_words_tell_what_was_left_out_and_what_a_percentile_is(tmp_path: Path) -> None:
    def words(searched: PhotoSearch) -> int:
        """Lines of text beside the photo."""
        beside = sheet(tmp_path, searched)[MARGIN + HEAD + 44 : MARGIN + STEP - GAP, MARGIN + WIDE + GAP :]
        inked = (beside < 200).any(axis=(1, 2))
        return int(np.count_nonzero(np.diff(inked.astype(int)) == 1))

    without = replace(FOUND, percentile=None)
    lines = words(replace(SEARCHED, found=(without,)))
    # By the composed distance ranks and percentiles have one order; else the sheet says why they have two.
    assert words(replace(SEARCHED, distance="composed")) == lines + 1
    assert words(SEARCHED) == lines + 2
    assert words(replace(SEARCHED, left_out=("c0009",))) == lines + 3
