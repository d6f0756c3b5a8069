"""Small stores of skies, row by row, for the tests of what holds them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.provenance import Provenance
from tasks.segments.shard_writer import shard_path, write_shard
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments

CLASSES = {0: "ground", 1: "sky", 7: "sun"}


def made_row(name: str, **fields: Any) -> Row:
    label_map = np.array([[0, 1, 1], [0, 7, 1]], dtype=np.uint8)
    row = Row(
        image_id=name,
        split="train",
        label="day",
        group=None,
        image=encode_image(np.full((3, 2, 3), 9, dtype=np.uint8)),
        image_path=f"{name}.png",
        mask=encode_label_map(label_map),
        segments=describe_segments(label_map, CLASSES),
    )
    return replace(row, **fields)


def written(folder: Path, rows: list[Row], **fields: Any) -> Path:
    given_fields = {"source": "sky", "classes": CLASSES, "key": "k", "part": 0, "parts": 1, **fields}
    split = rows[0].split if rows else "train"
    write_shard(folder, split, rows, **given_fields)
    return shard_path(folder, split, given_fields["part"])


def whole_store(folder: Path, **fields: Any) -> SegmentStore:
    written(folder, [made_row("a"), made_row("b", group="g", label="night")], **fields)
    written(folder, [made_row("c", split="validation")], **fields)
    return open_store(folder)


MADE = Provenance(kind="other-label", segment="sun", receiver="a", donor="b", seed=3, held_out=True)
