"""A table of pairs of photos, a CSV file: one row a pair."""

import csv
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InputError
from tasks.explanation.pair_place import PairPlace

NEEDED = ("photo_a", "photo_b")
OPTIONAL = ("mask_a", "mask_b", "label_a", "label_b")


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """One row.

    Attributes:
        where: the table's name and the row's line, for messages.
        place: its place in the table.
        photos: A and B.
        masks: their label maps; None where the tree's own segmenter makes it.
        labels: to show; None where unknown.
    """

    where: str
    place: PairPlace
    photos: tuple[Path, Path]
    masks: tuple[Path | None, Path | None]
    labels: tuple[str | None, str | None]


def read_pair_table(table: Path) -> tuple[PairRow, ...]:
    """The rows of a CSV file in UTF-8 with the columns photo_a and photo_b.

    The columns mask_a, mask_b, label_a and label_b may be left out, and so may their cells. Relative paths start from
    the file's folder.

    Raises:
        InputError: the file cannot be read, has no rows, lacks a column or has one of another name, or a row lacks a
            photo, has too many cells, or names a file that is not there.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(table, list(reader.fieldnames or ()))
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InputError(f"the table {table} is missing: give a CSV file with the columns {_columns()}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the table {table} cannot be read ({error}): save it as CSV in UTF-8") from None
    if not rows:
        raise InputError(f"the table {table} has no rows: write one for each pair under {_columns()}")
    return tuple(
        _row(f"{table.name}, line {line}", PairPlace(number=number, count=len(rows)), row, table.parent)
        for number, (line, row) in enumerate(rows, start=1)
    )


def _check_columns(table: Path, found: list[str]) -> None:
    lacks = [name for name in NEEDED if name not in found]
    unknown = [name for name in found if name not in (*NEEDED, *OPTIONAL)]
    if lacks or unknown:
        wrong = f"has no column {lacks[0]!r}" if lacks else f"has the unknown column {unknown[0]!r}"
        raise InputError(f"the table {table} {wrong}: its columns are {_columns()}")


def _columns() -> str:
    return f"{', '.join(NEEDED)} and, where wanted, {', '.join(OPTIONAL)}"


def _row(where: str, place: PairPlace, row: dict[str, str | None], folder: Path) -> PairRow:
    if None in row:  # where csv puts the cells that no column is for
        raise InputError(f"{where}: more cells than columns; put a name with a comma in double quotes")
    cells = {name: (row.get(name) or "").strip() for name in (*NEEDED, *OPTIONAL)}
    if empty := [name for name in NEEDED if not cells[name]]:
        raise InputError(f"{where}: {empty[0]} is empty; give a photo's file")
    files = {name: folder / cells[name] if cells[name] else None for name in (*NEEDED, "mask_a", "mask_b")}
    for name, path in files.items():
        if path is not None and not path.is_file():
            raise InputError(f"{where}: there is no file {path} ({name}); paths start from the table's folder")
    return PairRow(
        where=where,
        place=place,
        photos=(folder / cells["photo_a"], folder / cells["photo_b"]),
        masks=(files["mask_a"], files["mask_b"]),
        labels=(cells["label_a"] or None, cells["label_b"] or None),
    )
