import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.explanation.sheet import CAPTION, GAP, MARGIN, TILE, TITLE, WIDTH, SheetRow, enlarged, write_sheet

GREY = np.full((3, 48, 48), 90, np.uint8)


def hot_spot(y: int, x: int) -> np.ndarray:
    down, across = np.mgrid[:48, :48]
    return np.exp(-((down - y) ** 2 + (across - x) ** 2) / 40).astype(np.float32)


ROW = SheetRow(
    picture_a=GREY,
    picture_b=GREY,
    map_a=hot_spot(12, 12),
    map_b=hot_spot(36, 36),
    name_a="a.jpg",
    name_b="b.jpg",
    label_a="man",
    label_b="man",
    distance=0.25,
)


def pixels(path: Path) -> np.ndarray:
    """A written sheet, int [h, w, 3]."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image).astype(int)


def tile(path: Path, row: int, column: int) -> np.ndarray:
    """One picture of a sheet, int [h, w, 3]."""
    top, left = TITLE + row * (TILE + CAPTION), MARGIN + column * (TILE + GAP)
    return pixels(path)[top : top + TILE, left : left + TILE]


@pytest.mark.parametrize("rows", [1, 4])
def test_size(tmp_path: Path, rows: int) -> None:
    write_sheet("hair", [ROW] * rows, tmp_path / "sheet.png")
    assert pixels(tmp_path / "sheet.png").shape == (TITLE + rows * (TILE + CAPTION), WIDTH, 3)


def test_plain_pictures_are_outside_and_maps_inside(tmp_path: Path) -> None:
    write_sheet("hair", [ROW], tmp_path / "sheet.png")
    path = tmp_path / "sheet.png"
    assert (tile(path, 0, 0) == 90).all()
    assert (tile(path, 0, 3) == 90).all()
    # 48 pixels became 192: the hot spot at (12, 12) is at (48, 48) or so, and only there.
    a, b = tile(path, 0, 1), tile(path, 0, 2)
    assert a[50, 50, 0] > 180
    assert (a[150:, 150:] == 90).all()
    assert b[146, 146, 0] > 180
    assert (b[:40, :40] == 90).all()


def test_a_picture_that_is_no_square_stands_in_the_middle_of_its_tile(tmp_path: Path) -> None:
    wide = replace(ROW, picture_a=GREY[:, :24], map_a=hot_spot(12, 12)[:24])
    write_sheet("hair", [wide], tmp_path / "sheet.png")
    for column in (0, 1):
        shown = tile(tmp_path / "sheet.png", 0, column)
        assert (shown[:48] == (0xEC, 0xEE, 0xF1)).all() and (shown[-48:] == (0xEC, 0xEE, 0xF1)).all()
        assert (shown[48:-48, -1] == 90).all()


def test_the_caption_tells_same_from_different_labels(tmp_path: Path) -> None:
    sheets = {}
    for label in ("man", "woman"):
        write_sheet("hair", [replace(ROW, label_b=label)], tmp_path / "sheet.png")
        sheets[label] = pixels(tmp_path / "sheet.png")[TITLE + TILE :, WIDTH // 2 - 60 : WIDTH // 2 + 60]
    assert (sheets["man"] != sheets["woman"]).any()


def test_a_note_stands_in_the_place_of_the_labels_words(tmp_path: Path) -> None:
    middles = {}
    for note in (None, "given, distance 0.123", "same label"):
        write_sheet("hair", [replace(ROW, note=note)], tmp_path / "sheet.png")
        middles[note] = pixels(tmp_path / "sheet.png")[TITLE + TILE + 26 :, WIDTH // 2 - 90 : WIDTH // 2 + 90]
    assert (middles[None] == middles["same label"]).all()
    assert (middles[None] != middles["given, distance 0.123"]).any()


def test_the_sides_have_the_names_that_they_are_given(tmp_path: Path) -> None:
    heads = {}
    for sides in (("A", "B"), ("query", "B"), ("query", "answer")):
        write_sheet("hair", [ROW], tmp_path / "sheet.png", sides=sides)
        sheet = pixels(tmp_path / "sheet.png")
        heads[sides] = [sheet[44:TITLE, MARGIN + i * (TILE + GAP) :][:, :TILE] for i in range(4)]
    changed = [(one != other).any() for one, other in zip(heads["A", "B"], heads["query", "B"], strict=True)]
    assert changed == [True, True, False, False]
    changed = [(one != other).any() for one, other in zip(heads["query", "B"], heads["query", "answer"], strict=True)]
    assert changed == [False, False, True, True]


def test_tiles_may_be_larger(tmp_path: Path) -> None:
    write_sheet("hair", [ROW] * 2, tmp_path / "sheet.png", tile=2 * TILE)
    sheet = pixels(tmp_path / "sheet.png")
    assert sheet.shape == (TITLE + 2 * (2 * TILE + CAPTION), WIDTH + 4 * TILE, 3)
    for column in (0, 3):
        left = MARGIN + column * (2 * TILE + GAP)
        assert (sheet[TITLE : TITLE + 2 * TILE, left : left + 2 * TILE] == 90).all()


def test_names_of_any_kind_are_drawn(tmp_path: Path) -> None:
    for name in ("", "two\nlines\t.jpg", "顔 \udcff 🙂", "<b>$x$</b>" * 40):
        write_sheet(name, [replace(ROW, name_a=name, label_a=name)], tmp_path / "sheet.png")


def test_a_picture_keeps_its_shape() -> None:
    assert enlarged(np.zeros((3, 10, 20), np.uint8)).shape == (3, TILE // 2, TILE)
    assert enlarged(np.zeros((3, 400, 200), np.uint8)).shape == (3, TILE, TILE // 2)


def test_four_rows_take_less_than_seven_tenths_of_a_second(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [replace(ROW, picture_a=generator.integers(0, 256, (3, 48, 48), dtype=np.uint8))] * 4
    write_sheet("warm", rows, tmp_path / "sheet.png")
    seconds = []
    for _ in range(5):
        start = time.process_time()
        write_sheet("hair", rows, tmp_path / "sheet.png")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.7


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        write_sheet("hair", [], tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="one size"):
        replace(ROW, map_a=np.zeros((7, 7), np.float32))
