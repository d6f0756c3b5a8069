"""A shard's header as JSON: written by us, and read from anyone, so every field is looked at."""

import json
from dataclasses import asdict
from typing import Any, NoReturn

from tasks.errors import InputError
from tasks.segments.class_names import check_class_names
from tasks.segments.names import check_name
from tasks.segments.shard_schema import MOST_ROWS, STORE_VERSION, ShardHeader

_TYPES = {"version": int, "part": int, "parts": int, "rows": int, "source": str, "key": str, "digest": str}


def header_json(header: ShardHeader) -> str:
    """The header as it stands in a shard's metadata."""
    return json.dumps(asdict(header))


def parse_header(text: bytes, where: str) -> ShardHeader:
    """Read `header_json`'s text.

    Args:
        text: the JSON.
        where: the shard, for messages.

    Raises:
        InputError: it is of another version, a field is missing or not what it should be, or a name is none.
        ValueError: it is no JSON, or no object of such fields.
    """
    try:
        fields = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(fields, dict):
        raise ValueError("no object")
    if fields.get("version") != STORE_VERSION:
        raise InputError(
            f"{where} was written as store version {fields.get('version')}, this is version {STORE_VERSION}: "
            "make the store again with `heml prepare`"
        )
    if set(fields) != {*_TYPES, "classes", "notes"} or not all(isinstance(fields[name], dict) for name in _MAPPINGS):
        raise ValueError("other fields")
    if not all(type(fields[name]) is kind for name, kind in _TYPES.items()):
        raise ValueError("a field of another type")
    if not 0 <= fields["part"] < fields["parts"] or not 0 <= fields["rows"] <= MOST_ROWS:
        raise ValueError("a number out of range")
    check_name(fields["source"], f"{where}: the data set's name")
    classes = check_class_names({int(class_id): name for class_id, name in fields["classes"].items()}, where)
    _check_notes(fields["notes"], where)
    return ShardHeader(**{**fields, "classes": classes})


_MAPPINGS = ("classes", "notes")


def _check_notes(notes: dict[str, Any], where: str) -> None:
    """Notes are for people, but the report draws the segmenter's figures."""
    figures = notes.get("segmenter_iou") or {}
    if not isinstance(figures, dict) or not all(
        value is None or (isinstance(value, int | float) and 0 <= value <= 1) for value in figures.values()
    ):
        raise ValueError("figures of the segmenter that are none")
    for name in figures:
        check_name(name, f"{where}: a class of the segmenter")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
