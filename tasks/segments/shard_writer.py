"""Writing a shard of the segment store: whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import InputError
from tasks.segments.shard_header import header_json
from tasks.segments.shard_schema import (
    METADATA_KEY,
    MOST_PICTURE_BYTES,
    MOST_ROWS,
    ROWS_A_GROUP,
    SCHEMA,
    STORE_VERSION,
    ShardHeader,
    viewer_features,
)
from tasks.segments.source import Split
from tasks.segments.store_row import Row, check_photo, rows_digest
from tasks.temporary_path import temporary_path


def shard_path(store: Path, split: Split, part: int) -> Path:
    """Where a shard lies in its store."""
    return store / f"split={split}" / f"part-{part:05d}.parquet"


def write_shard(
    store: Path,
    split: Split,
    rows: Sequence[Row],
    *,
    source: str,
    classes: Mapping[int, str],
    key: str,
    part: int,
    parts: int,
    notes: Mapping[str, Any] | None = None,
) -> ShardHeader:
    """Write one shard under a temporary name, and rename it.

    Raises:
        InputError: as `check_photo`, or a picture's file is too large, or there are too many rows.
        OSError: the disk is full or not writable; the shard that was there before is untouched.
    """
    path = shard_path(store, split, part)
    if len(rows) > MOST_ROWS:
        raise InputError(f"{path} would have {len(rows)} rows, and {MOST_ROWS} are the most: write several shards")
    for row in rows:
        check_photo(row, path)
        if (size := max(len(row.image), len(row.mask))) > MOST_PICTURE_BYTES:
            raise InputError(f"{row.image_id} has {size} bytes, and {MOST_PICTURE_BYTES} are the most: make it smaller")
    header = ShardHeader(
        version=STORE_VERSION,
        source=source,
        classes=dict(sorted(classes.items())),
        key=key,
        digest=rows_digest(rows),
        part=part,
        parts=parts,
        rows=len(rows),
        notes=dict(notes or {}),
    )
    table = pa.Table.from_pylist(
        [
            {
                "image_id": row.image_id,
                "split": row.split,
                "label": row.label,
                "group": row.group,
                "image": {"bytes": row.image, "path": row.image_path},
                "mask": {"bytes": row.mask, "path": f"{row.image_id}.png"},
                "segments": row.segments,
                "provenance": asdict(row.provenance) if row.provenance else None,
            }
            for row in rows
        ],
        schema=SCHEMA.with_metadata({METADATA_KEY: header_json(header), b"huggingface": json.dumps(viewer_features())}),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        # Pictures are compressed already: only the page encoding is left to gain. Checksums, so that damage is seen.
        pq.write_table(table, temporary, row_group_size=ROWS_A_GROUP, compression="none", write_page_checksum=True)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return header
