"""The segment store: a folder of Parquet shards, one row an image with its label map.

The label map is the lossless, compact form of all segmented images: any node's picture is composed from it in one
look-up. Each shard carries the class table, its source, its key and its content's digest in the schema's metadata,
and can be made again alone.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.errors import InputError
from tasks.segments.inside import is_inside
from tasks.segments.shard_reader import group_sizes, read_batches, read_header
from tasks.segments.shard_schema import ShardHeader
from tasks.segments.source import SPLITS, Split
from tasks.segments.store_row import Row, row_digest, row_of


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def labels(self) -> dict[Split, tuple[str, ...]]:
        """Every image's label by split, in the store's order; read once.

        Raises:
            InputError: a shard is damaged.
        """
        return {split: tuple(self.columns(split, ["label"])["label"]) for split in SPLITS}

    def columns(self, split: Split, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Some columns of a split, in the store's order, without reading the others.

        Raises:
            InputError: a shard is damaged.
        """
        values: dict[str, list[Any]] = {name: [] for name in columns}
        for batch in self.batches(split, columns):
            for name in columns:
                values[name] += batch.column(name).to_pylist()
        return values

    def batches(self, split: Split, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The same a few rows at a time, as Arrow has them: segments as Python's values take kilobytes an image.

        Raises:
            InputError: a shard is damaged.
        """
        for path in self._paths(split):
            yield from read_batches(path, columns)

    def iterate(self, split: Split) -> Iterator[Row]:
        """The images of a split, in the store's order, a few rows in memory at a time.

        Raises:
            InputError: a row of the validation split is synthetic, a mask is of another size than its photo, or a
                shard is damaged or holds other rows than its digest says; the last is known at the shard's end.
        """
        for path, header in self.shards:
            if path.parent.name == f"split={split}":
                digest = hashlib.sha256()
                for batch in read_batches(path):
                    for fields in batch.to_pylist():
                        row = row_of(fields, path)
                        digest.update(row_digest(row))
                        yield row
                if digest.hexdigest() != header.digest:
                    raise InputError(f"{path} holds other rows than it says: make it again with `heml prepare`")

    def at(self, numbers: Sequence[int]) -> list[Row]:
        """Some images by their number in the store's order, training split first; only their row groups are read.

        Raises:
            ValueError: there is no such number.
            InputError: as `iterate`, but for the digest.
        """
        found: dict[int, Row] = {}
        first = 0
        for path, header in self.shards:
            if any(first <= number < first + header.rows for number in numbers):
                found |= _rows_at(path, first, numbers)
            first += header.rows
        if missing := set(numbers) - set(found):
            raise ValueError(f"the store has the images 0 to {first - 1}; got {min(missing)}")
        return [found[number] for number in numbers]

    def _paths(self, split: Split) -> list[Path]:
        return [path for path, _ in self.shards if path.parent.name == f"split={split}"]


def open_store(path: Path) -> SegmentStore:
    """Open a store and check that it is whole.

    Raises:
        InputError: the folder is no store, a shard is missing, damaged or of another version, the shards do not fit
            together, or a file of the segmenter is a link that leads out of the store.
    """
    paths = [(split, shard) for split in SPLITS for shard in sorted((path / f"split={split}").glob("part-*.parquet"))]
    if not paths:
        raise InputError(f"{path} is not a segment store (no split=*/part-*.parquet): make one with `heml prepare`")
    shards = tuple((shard, read_header(shard)) for _, shard in paths)
    for split in SPLITS:
        found = [header for (name, _), (_, header) in zip(paths, shards, strict=True) if name == split]
        if not found or len(found) != found[0].parts or [header.part for header in found] != list(range(len(found))):
            parts = found[0].parts if found else "its"
            raise InputError(
                f"the store {path} is not whole: the split {split} has {len(found)} of {parts} shards; "
                "run `heml prepare` again, it makes only what is missing"
            )
    if any((header.classes, header.source) != (shards[0][1].classes, shards[0][1].source) for _, header in shards):
        raise InputError(f"the shards of {path} have different class tables or sources: make the store in a new folder")
    # Shards may be links, for they are only read. The segmenter's files are copied into every model of the store.
    for file in (path / "segmenter").rglob("*"):
        if not is_inside(file, path):
            raise InputError(f"{file} is a link that leads out of the store: copy what it points to, if you trust it")
    return SegmentStore(path, shards)


def _rows_at(path: Path, first: int, numbers: Sequence[int]) -> dict[int, Row]:
    """Rows of a shard by their number in the store, of which its first row's is `first`."""
    groups: list[int] = []
    there: list[int] = []
    for group, size in enumerate(group_sizes(path)):
        in_group = range(first, first + size)
        if any(number in in_group for number in numbers):
            groups.append(group)
            there += in_group
        first += size
    wanted, start = set(numbers), 0
    found: dict[int, Row] = {}
    for batch in read_batches(path, groups=groups):
        places = [place for place in range(batch.num_rows) if there[start + place] in wanted]
        for place, fields in zip(places, batch.take(pa.array(places, pa.int64())).to_pylist(), strict=True):
            found[there[start + place]] = row_of(fields, path)
        start += batch.num_rows
    return found
