"""Class tables: which class id of a label map has which name, from a file or from a study's built-in table.

The built-in tables are those of HEML's three studies, under the names of their trees: `celeba` (CelebAMask-HQ),
`human-parsing` (ATR) and `sceneparse150` (ADE20K's 150 classes, the first synonym each, 0 for what is none of them).
"""

import csv
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from tasks.errors import InputError
from tasks.segments.names import check_name

TABLES = files("tasks.segments") / "class_tables"
REST = "other"  # ADE20K's class id 0, which its own table leaves out


def class_table_names() -> tuple[str, ...]:
    """Names of the built-in class tables."""
    return tuple(sorted(Path(entry.name).stem for entry in TABLES.iterdir() if entry.name.endswith(".json")))


def read_class_names(path: Path) -> dict[int, str]:
    """Read a class table.

    Args:
        path: a JSON file, `{"0": "background", ...}`, or a list of names whose places are the ids; ADE20K's
            `objectInfo150.txt` (any .txt file is read as one); or the name of a built-in table.

    Returns:
        Class id (0..255) to name, by id.

    Raises:
        InputError: the file is missing or no such table, an id is not in 0..255, or a name is empty or occurs twice.
    """
    parse = _object_info if path.suffix == ".txt" else _json_table
    return check_class_names(parse(_read(path), path), str(path))


def check_class_names(table: Mapping[int, object], where: str) -> dict[int, str]:
    """The table by id, if every id is in 0..255 and every name is a text that occurs once; else InputError."""
    names = [name.strip() for name in table.values() if isinstance(name, str) and name.strip()]
    if not table or len(names) < len(table) or len(set(names)) < len(names):
        raise InputError(f'{where} is no class table: it needs one name for each id, as in {{"0": "background", ...}}')
    for name in names:
        check_name(name, f"a class of {where}")
    outside = [class_id for class_id in table if not 0 <= class_id <= 255]
    if outside:
        raise InputError(f"{where} has the class id {outside[0]}: ids are 0..255, for a mask holds one byte a pixel")
    return {class_id: str(table[class_id]).strip() for class_id in sorted(table)}


def _read(path: Path) -> str:
    tables = class_table_names()
    try:
        if str(path) in tables:
            return (TABLES / f"{path}.json").read_text(encoding="utf-8")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"class names file {path} is missing: give a JSON file, class id to name, or one of {', '.join(tables)}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"class names file {path} cannot be read ({error}): save it in UTF-8") from error


def _json_table(text: str, path: Path) -> dict[int, object]:
    try:
        content = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise InputError(f"class names file {path} cannot be read ({error}): save it as JSON") from error
    # An object comes as a list of pairs, so that an id that is there twice is seen; a list of names has no pairs.
    entries = content if isinstance(content, list) else []
    if not all(isinstance(entry, tuple) for entry in entries):
        entries = list(enumerate(entries))
    try:
        return _by_id([(int(class_id), name) for class_id, name in entries])
    except ValueError:
        return {}


def _object_info(text: str, path: Path) -> dict[int, object]:
    """ADE20K's table: columns Idx and Name among others, separated by tabs; a name is a list of synonyms."""
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    try:
        return {0: REST} | _by_id([(int(row["Idx"]), row["Name"].split(",")[0].strip()) for row in rows])
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error):
        raise InputError(
            f"{path} is no class table: a .txt file is read as ADE20K's objectInfo150.txt, "
            "with the columns Idx and Name separated by tabs; save others as JSON"
        ) from None


def _by_id(entries: list[tuple[int, object]]) -> dict[int, object]:
    """The entries by id; ValueError if an id is there twice."""
    table = dict(entries)
    if len(table) < len(entries):
        raise ValueError("an id occurs twice")
    return table
