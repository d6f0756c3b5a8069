"""Reading shards that anyone may have made: whatever is wrong with one is an InputError that names it.

Parquet unfolds a few bytes to any number of rows, and a shard may come from a stranger. So its footer has to fit the
header, nothing in it is compressed by the file format (pictures are already), rows are taken a few at a time, and
each is looked at before Python sees it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import InputError
from tasks.segments.names import check_name
from tasks.segments.parquet_footer import RowGroup, read_footer
from tasks.segments.shard_header import parse_header
from tasks.segments.shard_schema import METADATA_KEY, MOST_PICTURE_BYTES, SCHEMA, ShardHeader

ROWS_AT_ONCE = 256  # in memory
PICTURES_AT_ONCE = 16  # likewise, where they are read too
MOST_SEGMENTS = 256  # of a photo: a label map has one byte a pixel
MOST_TEXT_BYTES = 4 << 20  # of a column in a row group: a text that is there once may stand in every row
PICTURES = ("image", "mask")
TEXTS = ("image_id", "label", "group")


def read_header(path: Path) -> ShardHeader:
    """Read what a shard says of itself, without its rows.

    Raises:
        InputError: it is no Parquet file, no shard of a store, of another version, or does not fit its header.
    """
    with _opened(path) as file:
        return _header(file, path)


def read_batches(
    path: Path, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Some columns of a shard, a few rows at a time, each checked.

    Args:
        path: the shard.
        columns: their names; None for all.
        groups: numbers of row groups; None for all of them.

    Raises:
        InputError: the shard cannot be read, or holds what no row of a store can.
    """
    with _opened(path) as file:
        header = _header(file, path)
        found = _groups(path, header)
        wanted = range(len(found)) if groups is None else groups
        size = PICTURES_AT_ONCE if columns is None or set(columns) & set(PICTURES) else ROWS_AT_ONCE
        batches = file.iter_batches(batch_size=size, row_groups=wanted, columns=columns)
        missing = sum(found[number].rows for number in wanted)
        while True:
            with _in_our_words(path):
                batch = next(batches, None)
                if batch is not None:
                    _check_batch(batch, header, path)
            if batch is None:
                break
            missing -= batch.num_rows
            yield batch
        if missing:
            raise _damaged(path, f"{abs(missing)} rows are missing or too many")


def group_sizes(path: Path) -> list[int]:
    """Number of rows of each row group of a shard.

    Raises:
        InputError: as `read_header`.
    """
    return [group.rows for group in _groups(path, read_header(path))]


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except _FAILURES:
        raise _no_shard(path) from None
    with file:
        yield file


def _header(file: pq.ParquetFile, path: Path) -> ShardHeader:
    try:
        schema, metadata = file.schema_arrow, file.metadata
        header = parse_header((schema.metadata or {})[METADATA_KEY], str(path))
    except InputError:
        raise
    except _FAILURES:
        raise _no_shard(path) from None
    if not schema.equals(SCHEMA):
        raise InputError(f"{path} has other columns than a shard of a segment store: make it again with `heml prepare`")
    if metadata.num_rows != header.rows:
        raise _damaged(path, f"its header says {header.rows} rows, the file {metadata.num_rows}")
    return header


def _groups(path: Path, header: ShardHeader) -> tuple[RowGroup, ...]:
    """The shard's row groups, whose columns fit their rows and are not compressed."""
    with _in_our_words(path):
        groups = read_footer(path)
        if sum(group.rows for group in groups) != header.rows or min((g.rows for g in groups), default=0) < 0:
            raise ValueError(f"its row groups do not have the {header.rows} rows of its header")
        for group in groups:
            for chunk in group.chunks:
                if chunk.codec:
                    raise ValueError("its pages are compressed, which ours never are")
                if not 0 <= chunk.values <= group.rows * MOST_SEGMENTS:
                    raise ValueError(f"the column {chunk.path} has {chunk.values} values")
                is_picture = chunk.path in [f"{name}.bytes" for name in PICTURES]
                if chunk.size > (max(1, group.rows) * MOST_PICTURE_BYTES if is_picture else MOST_TEXT_BYTES):
                    raise ValueError(f"the column {chunk.path} has {chunk.size} bytes")
    return groups


def _check_batch(batch: pa.RecordBatch, header: ShardHeader, path: Path) -> None:
    """Raise ValueError, or InputError where there is a name to tell."""
    batch.validate(full=True)  # texts that are no UTF-8, and offsets that lead out of the data
    if batch.num_rows > ROWS_AT_ONCE:
        raise ValueError("more rows than were asked for")
    of_batch = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in TEXTS:
        for text in of_batch[name].to_pylist() if name in of_batch else ():
            if text is not None or name != "group":
                check_name(text or "", f"{path}: the {name} of a row")
    if "split" in of_batch and set(of_batch["split"].to_pylist()) - {path.parent.name.removeprefix("split=")}:
        raise ValueError("it has rows of another split")
    for name in PICTURES:
        if name in of_batch:
            _check_pictures(of_batch[name])
    if "segments" in of_batch:
        _check_segments(of_batch["segments"], header.classes)
    if "provenance" in of_batch:
        made = of_batch["provenance"].drop_null()
        if any(field.null_count for field in made.flatten()):
            raise ValueError("a provenance lacks a field")


def _check_pictures(pictures: pa.StructArray) -> None:
    data, names = pictures.flatten()
    if data.null_count or names.null_count:
        raise ValueError("a picture is missing")
    if (largest := pc.max(pc.binary_length(data)).as_py() or 0) > MOST_PICTURE_BYTES:
        raise ValueError(f"a picture has {largest} bytes, and {MOST_PICTURE_BYTES} are the most")


def _check_segments(segments: pa.ListArray, classes: Mapping[int, str]) -> None:
    """Each row's segments are classes of the table, each once, with a box that holds their area."""
    flat = segments.flatten()
    fields = dict(zip(flat.type.names, flat.flatten(), strict=True))
    if segments.null_count or any(field.null_count for field in fields.values()):
        raise ValueError("segments are missing")
    of_row = np.repeat(np.arange(len(segments)), segments.value_lengths().to_numpy(zero_copy_only=False))
    names = fields.pop("name").to_pylist()
    numbers = {name: field.to_numpy(zero_copy_only=False).astype(np.int64) for name, field in fields.items()}
    if set(zip(numbers["class_id"].tolist(), names, strict=True)) - set(classes.items()):
        raise ValueError("a segment is of no class of the table")
    if len(np.unique(of_row * MOST_SEGMENTS + numbers["class_id"])) < len(names):
        raise ValueError("a segment is there twice in a row")
    height, width = numbers["bottom"] - numbers["top"], numbers["right"] - numbers["left"]
    inside = (numbers["top"] >= 0) & (numbers["left"] >= 0) & (height > 0) & (width > 0)
    if not (inside & (numbers["area"] > 0) & (numbers["area"] <= height * width)).all():
        raise ValueError("a segment's box does not hold its area")


@contextmanager
def _in_our_words(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _FAILURES as error:
        raise _damaged(path, next(iter(str(error).strip().splitlines()), type(error).__name__)) from None


# What pyarrow raises of broken files, and we above.
_FAILURES = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def _no_shard(path: Path) -> InputError:
    return InputError(f"{path} is not a shard of a segment store: make it again with `heml prepare`")


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"the shard {path} is damaged ({reason}): make it again with `heml prepare`")
