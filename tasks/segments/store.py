"""The segment store: a folder of Parquet shards, one row an image with its label map.

The label map is the lossless, compact form of all segmented images: any node's picture is composed from it in one
look-up. Each shard carries the class table, its source, its key and its content's digest in the schema's metadata,
and can be made again alone.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.provenance import Provenance
from tasks.segments.source import SPLITS, Split

STORE_VERSION = 2
METADATA_KEY = b"heml"
ROWS_A_GROUP = 64  # 64 photos of up to 1.5 MB stay under the 100 MB that viewers ask of a row group

SEGMENT_TYPE = pa.struct(
    [("name", pa.string()), *((field, pa.int32()) for field in ("class_id", "area", "top", "left", "bottom", "right"))]
)
PICTURE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PROVENANCE_TYPE = pa.struct(
    [
        *((field, pa.string()) for field in ("kind", "segment", "receiver", "donor")),
        ("seed", pa.int64()),
        ("held_out", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("split", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("image", PICTURE_TYPE),
        ("mask", PICTURE_TYPE),
        ("segments", pa.list_(SEGMENT_TYPE)),
        ("provenance", PROVENANCE_TYPE),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image of the store.

    Attributes:
        image_id: unique in the store.
        split: "train" or "validation".
        label: what the metric is to tell apart.
        group: a protected attribute, or None.
        image: JPEG or PNG bytes as they came.
        image_path: their file name.
        mask: PNG bytes of the label map, one byte a pixel.
        segments: what `describe_segments` says of the label map.
        provenance: how a synthetic row was made; None for a photo. Rows of the validation split are photos.
    """

    image_id: str
    split: Split
    label: str
    group: str | None
    image: bytes
    image_path: str
    mask: bytes
    segments: list[dict[str, Any]]
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class ShardHeader:
    """What a shard says of itself in its schema's metadata.

    Attributes:
        version: of the store's layout.
        source: name of the data set.
        classes: class id to name.
        key: digest of all that the shard is made from; a shard with this key need not be made again.
        digest: SHA-256 over the rows.
        part: number of the shard in its split, from 0.
        parts: number of shards of the split.
        rows: number of images.
        notes: facts about the data, such as the segmenter's figures.
    """

    version: int
    source: str
    classes: dict[int, str]
    key: str
    digest: str
    part: int
    parts: int
    rows: int
    notes: dict[str, Any]


def shard_path(store: Path, split: Split, part: int) -> Path:
    """Where a shard lies in its store."""
    return store / f"split={split}" / f"part-{part:05d}.parquet"


def describe_segments(label_map: NDArray[np.uint8], classes: Mapping[int, str]) -> list[dict[str, Any]]:
    """Area and bounding box of every class in a label map.

    Args:
        label_map: uint8 [h, w].
        classes: class id to name.

    Returns:
        For each class that occurs, by id: name, class_id, area in pixels, and the box [top, bottom) x [left, right).

    Raises:
        InputError: the label map has an id that is not among the classes.
    """
    segments = []
    for class_id in np.flatnonzero(np.bincount(label_map.ravel(), minlength=256)).tolist():
        if class_id not in classes:
            raise InputError(
                f"the label map has the class id {class_id}, which the class table lacks; it has: "
                f"{', '.join(map(str, sorted(classes)))}"
            )
        where = label_map == class_id
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        segments.append(
            {
                "name": classes[class_id],
                "class_id": class_id,
                "area": int(where.sum()),
                "top": int(rows[0]),
                "left": int(columns[0]),
                "bottom": int(rows[-1]) + 1,
                "right": int(columns[-1]) + 1,
            }
        )
    return segments


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
    """Write one shard: whole or not at all (temporary name, then rename).

    Raises:
        InputError: a row of a validation shard is synthetic.
        OSError: the disk is full or not writable; the shard that was there before is untouched.
    """
    path = shard_path(store, split, part)
    for row in rows:
        _check_photo(row, path)
    header = ShardHeader(
        version=STORE_VERSION,
        source=source,
        classes=dict(sorted(classes.items())),
        key=key,
        digest=_digest(rows),
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
        schema=SCHEMA.with_metadata(
            {METADATA_KEY: json.dumps(asdict(header)), b"huggingface": json.dumps(_features())}
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Pictures are compressed already: only the page encoding is left to gain.
        pq.write_table(table, temporary, row_group_size=ROWS_A_GROUP, compression="none")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return header


def read_header(path: Path) -> ShardHeader:
    """Read what a shard says of itself, without its rows.

    Raises:
        InputError: it is no Parquet file, no shard of a store, or of another version.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        fields = json.loads(metadata[METADATA_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        raise InputError(f"{path} is not a shard of a segment store: make it again with `heml prepare`") from None
    if fields.get("version") != STORE_VERSION:
        raise InputError(
            f"{path} was written as store version {fields.get('version')}, this is version {STORE_VERSION}: "
            "make the store again with `heml prepare`"
        )
    fields["classes"] = {int(class_id): name for class_id, name in fields["classes"].items()}
    return ShardHeader(**fields)


@dataclass(frozen=True)
class SegmentStore:
    """A complete segment store, opened for reading. Open one with `open_store`.

    Attributes:
        path: its folder.
        shards: every shard's path and header, by split and part.
    """

    path: Path
    shards: tuple[tuple[Path, ShardHeader], ...]

    @property
    def source(self) -> str:
        """Name of the data set."""
        return self.shards[0][1].source

    @property
    def classes(self) -> dict[int, str]:
        """Class id to name."""
        return self.shards[0][1].classes

    @property
    def notes(self) -> dict[str, Any]:
        """Facts about the data, such as the segmenter's figures."""
        return self.shards[0][1].notes

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the class table and all shards' contents."""
        content = [(path.parent.name, path.name, header.digest) for path, header in self.shards]
        return hashlib.sha256(json.dumps([self.classes, content]).encode()).hexdigest()

    @property
    def segmenter(self) -> Path | None:
        """Folder of the SegFormer that made the label maps; None if they came with the photos."""
        folder = self.path / "segmenter"
        return folder if folder.is_dir() else None

    def rows(self, split: Split) -> int:
        """Number of images in a split."""
        return sum(header.rows for path, header in self.shards if path.parent.name == f"split={split}")

    def columns(self, split: Split, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Some columns of a split, in the store's order, without reading the others."""
        tables = [pq.ParquetFile(path).read(columns=list(columns)) for path in self._paths(split)]
        return {name: [value for table in tables for value in table[name].to_pylist()] for name in columns}

    def iterate(self, split: Split) -> Iterator[Row]:
        """The images of a split, in the store's order, one row group in memory at a time.

        Raises:
            InputError: a row of the validation split is synthetic.
        """
        for path in self._paths(split):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
                    yield from (_row(fields, path) for fields in batch.to_pylist())

    def at(self, numbers: Sequence[int]) -> list[Row]:
        """Some images by their number in the store's order, training split first; only their row groups are read.

        Raises:
            ValueError: there is no such number.
            InputError: a row of the validation split is synthetic.
        """
        found: dict[int, Row] = {}
        first = 0
        for path, header in self.shards:
            if any(first <= number < first + header.rows for number in numbers):
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        end = first + file.metadata.row_group(group).num_rows
                        if inside := sorted({number for number in numbers if first <= number < end}):
                            rows = file.read_row_group(group).take([number - first for number in inside]).to_pylist()
                            found |= zip(inside, (_row(fields, path) for fields in rows), strict=True)
                        first = end
            else:
                first += header.rows
        if missing := set(numbers) - set(found):
            raise ValueError(f"the store has the images 0 to {first - 1}; got {min(missing)}")
        return [found[number] for number in numbers]

    def _paths(self, split: Split) -> list[Path]:
        return [path for path, _ in self.shards if path.parent.name == f"split={split}"]


def open_store(path: Path) -> SegmentStore:
    """Open a store and check that it is whole.

    Raises:
        InputError: the folder is no store, a shard is missing or of another version, or the shards do not fit together.
    """
    paths = [(split, shard) for split in SPLITS for shard in sorted((path / f"split={split}").glob("part-*.parquet"))]
    if not paths:
        raise InputError(f"{path} is not a segment store (no split=*/part-*.parquet): make one with `heml prepare`")
    shards = tuple((shard, read_header(shard)) for _, shard in paths)
    for split in SPLITS:
        found = [header for (name, _), (_, header) in zip(paths, shards, strict=True) if name == split]
        if not found or [header.part for header in found] != list(range(found[0].parts)):
            parts = found[0].parts if found else "its"
            raise InputError(
                f"the store {path} is not whole: the split {split} has {len(found)} of {parts} shards; "
                "run `heml prepare` again, it makes only what is missing"
            )
    if any((header.classes, header.source) != (shards[0][1].classes, shards[0][1].source) for _, header in shards):
        raise InputError(f"the shards of {path} have different class tables or sources: make the store in a new folder")
    return SegmentStore(path, shards)


def _row(fields: dict[str, Any], path: Path) -> Row:
    image, mask, made = fields.pop("image"), fields.pop("mask"), fields.pop("provenance")
    provenance = None if made is None else Provenance(**made)
    row = Row(image=image["bytes"], image_path=image["path"], mask=mask["bytes"], provenance=provenance, **fields)
    _check_photo(row, path)
    return row


def _check_photo(row: Row, path: Path) -> None:
    """What is reported on is photos only."""
    if row.provenance is not None and path.parent.name == "split=validation":
        raise InputError(
            f"{path}: {row.image_id} is synthetic ({row.provenance.kind}), and results are reported on photos only: "
            "leave it out of the validation split"
        )


def _digest(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        made = () if row.provenance is None else astuple(row.provenance)
        fields = (row.image_id, row.split, row.label, row.group)
        pictures = (hashlib.sha256(data).hexdigest() for data in (row.image, row.mask))
        digest.update(json.dumps([*fields, *pictures, *made]).encode())
    return digest.hexdigest()


def _features() -> dict[str, Any]:
    """The columns as the viewers of Hugging Face's `datasets` know them."""

    def value(dtype: str) -> dict[str, str]:
        return {"dtype": dtype, "_type": "Value"}

    features: dict[str, Any] = {name: value("string") for name in ("image_id", "split", "label", "group")}
    features |= {name: {"_type": "Image"} for name in ("image", "mask")}
    features["segments"] = [{field.name: value(str(field.type)) for field in SEGMENT_TYPE}]
    features["provenance"] = {field.name: value(str(field.type)) for field in PROVENANCE_TYPE}
    return {"info": {"features": features}}
