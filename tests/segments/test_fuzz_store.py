"""Shards from strangers: the rows as they were written, or an error of ours."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.segments import shard_reader as reader_module
from tasks.segments import shard_writer as writer_module
from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.provenance import Provenance
from tasks.segments.shard_reader import PICTURES_AT_ONCE
from tasks.segments.shard_schema import METADATA_KEY, MOST_ROWS
from tasks.segments.shard_writer import shard_path, write_shard
from tasks.segments.source import Split
from tasks.segments.store import open_store
from tasks.segments.store_row import Row, describe_segments
from tests.segments.mutations import EXAMPLES, damaged, every_input

CLASSES = {0: "ground", 1: "sky", 7: "sun"}
MADE = Provenance(kind="other-label", segment="sun", receiver="a", donor="b", seed=3, held_out=True)
COLUMNS = ("label", "group", "segments", "provenance", "image_id", "split")


def made_row(number: int, split: Split, provenance: Provenance | None = None) -> Row:
    chance = np.random.default_rng([number, split == "train"])
    label_map = chance.choice(np.array(list(CLASSES), dtype=np.uint8), (4, 5))
    return Row(
        image_id=f"{split}-{number}",
        split=split,
        label=("day", "night")[number % 2],
        group=(None, "left")[number % 2],
        image=encode_image(chance.integers(0, 256, (3, 4, 5), dtype=np.uint8)),
        image_path=f"{number}.png",
        mask=encode_label_map(label_map),
        segments=describe_segments(label_map, CLASSES),
        provenance=provenance,
    )


ROWS = {
    "train": [*(made_row(number, "train") for number in range(6)), made_row(6, "train", MADE)],
    "validation": [made_row(number, "validation") for number in range(3)],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose training shard is written anew for every input."""
    folder = tmp_path_factory.mktemp("fuzz")
    for split, rows in ROWS.items():
        write_shard(folder, split, rows, source="sky", classes=CLASSES, key="k", part=0, parts=1, notes={"iou": 0.5})
    return folder


@pytest.fixture(scope="module")
def shard(folder: Path) -> bytes:
    return shard_path(folder, "train", 0).read_bytes()


def read_all(folder: Path) -> None:
    """Read a store in every way, and look whether it holds what was written."""
    errors = []
    store = open_store(folder)
    try:
        assert {split: list(store.iterate(split)) for split in ("train", "validation")} == ROWS
    except InputError as error:
        errors.append(error)
    # What does not read the pictures cannot tell all of it, but neither may it come to grief.
    try:
        columns = store.columns("train", COLUMNS)
    except InputError as error:
        errors.append(error)
    try:
        rows = store.at([0, 6, 8])
    except InputError as error:
        errors.append(error)
    if errors:
        raise errors[0]
    assert rows == [ROWS["train"][0], ROWS["train"][6], ROWS["validation"][1]]
    assert columns == {name: [asdict(row)[name] for row in ROWS["train"]] for name in COLUMNS}


@pytest.mark.parametrize("examples", EXAMPLES)
def test_damaged_shards(examples: int, folder: Path, shard: bytes) -> None:
    def check(case: tuple[bytes, bytes]) -> str | None:
        original, data = case
        shard_path(folder, "train", 0).write_bytes(data)
        read_all(folder)
        return "as it was" if data == original else None

    counts = every_input(examples, damaged([shard], tail=7000), check)
    assert counts["as it was"] and counts["refused"]


Change = Callable[[pa.Table], pa.Table]


def header(**fields: Any) -> Change:
    """Other fields in the header; None takes one out."""

    def change(table: pa.Table) -> pa.Table:
        metadata = dict(table.schema.metadata)
        values = {**json.loads(metadata[METADATA_KEY]), **fields}
        kept = {name: value for name, value in values.items() if value is not None}
        return table.replace_schema_metadata({**metadata, METADATA_KEY: json.dumps(kept)})

    return change


def raw_header(text: bytes) -> Change:
    return lambda table: table.replace_schema_metadata({METADATA_KEY: text})


def column(name: str, change: Callable[[list[Any]], list[Any]], kind: pa.DataType | None = None) -> Change:
    """Other values in a column, or another type."""

    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        field = pa.field(name, kind or table.schema.field(name).type)
        return table.set_column(place, field, pa.array(change(table[name].to_pylist()), field.type))

    return changed


def last(value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [*values[:-1], value]


def in_last(**fields: Any) -> Callable[[list[Any]], list[Any]]:
    """Other fields in the last value; of a list, in its last element."""

    def changed(values: list[Any]) -> list[Any]:
        value = values[-1]
        new = [*value[:-1], {**value[-1], **fields}] if isinstance(value, list) else {**value, **fields}
        return [*values[:-1], new]

    return changed


def not_utf8(table: pa.Table) -> pa.Table:
    data = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary())
    return table.set_column(2, "label", pa.Array.from_buffers(pa.string(), len(data), data.buffers()))


HARMLESS: dict[str, Change] = {
    "nothing": lambda table: table,
    "more metadata": lambda table: table.replace_schema_metadata({**table.schema.metadata, b"other": b"\xff"}),
    "other notes": header(notes={"made by": ["hand"], "segmenter_iou": {"sun": None, "sky": 0.25}}),
    "in pieces": lambda table: pa.concat_tables([table[:2], table[2:]]),
}
HARMFUL: dict[str, Change] = {
    "no header": lambda table: table.replace_schema_metadata(None),
    "header is no JSON": raw_header(b"{"),
    "header is no object": raw_header(b'[{"version": 2}]'),
    "header is nested without end": raw_header(b"[" * 100_000),
    "header with NaN": header(notes={"iou": float("nan")}),
    **{f"header without {name}": header(**{name: None}) for name in ("classes", "rows", "digest", "notes", "version")},
    "a field too many": header(more=1),
    "rows as text": header(rows="7"),
    "rows are true": header(rows=True),
    "fewer rows": header(rows=6),
    "rows without end": header(rows=10**18),
    "parts without end": header(parts=10**15),
    "parts below part": header(parts=0),
    "part as a list": header(part=[0]),
    "classes as a list": header(classes=["ground"]),
    "class id is no number": header(classes={"a": "ground", "1": "sky", "7": "sun"}),
    "class id above a byte": header(classes={"0": "ground", "1": "sky", "7": "sun", "256": "x"}),
    "class name with an escape": header(classes={"0": "ground", "1": "sky", "7": "sun", "8": "\x1b[2J"}),
    "a segment's class is gone": header(classes={"0": "ground", "1": "sky"}),
    "a segment's class has another name": header(classes={"0": "ground", "1": "sky", "7": "moon"}),
    "source with a line break": header(source="a\nb"),
    "source is empty": header(source=""),
    "source is a number": header(source=3),
    "figures that are none": header(notes={"segmenter_iou": {"sun": "good"}}),
    "another digest": header(digest="0" * 64),
    **{f"no {name}": (lambda gone: lambda table: table.drop_columns([gone]))(name) for name in COLUMNS},
    "another column": lambda table: table.append_column("more", pa.array([1] * table.num_rows)),
    "another order": lambda table: table.select(table.schema.names[::-1]),
    "labels are numbers": column("label", lambda values: list(range(len(values))), pa.int64()),
    "labels are large": column("label", list, pa.large_string()),
    "labels are no UTF-8": not_utf8,
    **{f"{name} missing": column(name, last(None)) for name in COLUMNS if name not in ("group", "provenance")},
    **{f"{name} without bytes": column(name, in_last(bytes=None)) for name in ("image", "mask")},
    "a photo that is none": column("image", in_last(bytes=b"")),
    "a photo of another size": column("image", in_last(bytes=encode_image(np.zeros((3, 5, 4), np.uint8)))),
    "path missing": column("image", in_last(path=None)),
    "id with NUL": column("image_id", last("a\0b")),
    "id that climbs and is long": column("image_id", last("../" * 400)),
    "label is empty": column("label", last("")),
    "label with an escape": column("label", last("\x1b]0;x\x07")),
    "group with half a pair of letters": column("group", last("a\u2028b")),
    "another split": column("split", last("validation")),
    "segment of no class": column("segments", in_last(class_id=9)),
    "segment of another name": column("segments", in_last(name="moon")),
    "segment twice": column("segments", lambda values: [*values[:-1], values[-1] * 2]),
    "segments without end": column("segments", lambda values: [*values[:-1], values[-1] * 2000]),
    "segment without area": column("segments", in_last(area=0)),
    "segment larger than its box": column("segments", in_last(area=21)),
    "box inside out": column("segments", in_last(bottom=0)),
    "box outside": column("segments", in_last(left=-1)),
    "segment without a field": column("segments", in_last(area=None)),
    "a segment missing": column("segments", last([None])),
    "made in an unknown way": column("provenance", in_last(kind="magic")),
    "made without a seed": column("provenance", in_last(seed=None)),
    "a row less": lambda table: table[:-1],
    "rows twice": lambda table: pa.concat_tables([table, table]),
    "rows in another order": lambda table: table.take(list(range(table.num_rows))[::-1]),
}
FORMS: dict[str, tuple[dict[str, Any], bool]] = {
    "as ours": ({"compression": "none"}, True),
    "newer pages": ({"compression": "none", "data_page_version": "2.0"}, True),
    "plain values": ({"compression": "none", "use_dictionary": False}, True),
    "small groups": ({"compression": "none", "row_group_size": 2}, True),
    "no statistics": ({"compression": "none", "write_statistics": False, "write_page_checksum": True}, True),
    "compressed": ({"compression": "zstd"}, False),
}


@pytest.mark.parametrize("examples", EXAMPLES)
def test_tables_of_another_make(examples: int, folder: Path, shard: bytes) -> None:
    shard_path(folder, "train", 0).write_bytes(shard)
    table = pq.read_table(shard_path(folder, "train", 0), partitioning=None)
    changes = st.lists(st.sampled_from([*HARMLESS, *HARMFUL]), min_size=1, max_size=2, unique=True)

    def check(case: tuple[list[str], str]) -> str | None:
        names, form = case
        options, is_fine = FORMS[form]
        changed = table
        for name in names:
            try:
                changed = {**HARMLESS, **HARMFUL}[name](changed)
            except (LookupError, TypeError, ValueError, RecursionError, pa.ArrowException):
                return "not both"  # what the second change needs, the first one took away
        pq.write_table(changed, shard_path(folder, "train", 0), **options)
        try:
            read_all(folder)
        except InputError:
            assert len(names) > 1 or names[0] in HARMFUL or not is_fine
            raise
        # Two changes may undo each other.
        assert is_fine and (len(names) > 1 or names[0] in HARMLESS)
        return None

    counts = every_input(examples, st.tuples(changes, st.sampled_from([*FORMS])), check)
    assert counts["answered"] and counts["refused"]


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_no_shard_of_ours_is_refused(name: str, folder: Path, shard: bytes) -> None:
    path = shard_path(folder, "train", 0)
    path.write_bytes(shard)
    pq.write_table(HARMFUL[name](pq.read_table(path, partitioning=None)), path, compression="none")
    with pytest.raises(InputError):
        read_all(folder)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", HARMLESS)
def test_what_holds_the_same_rows_is_read(name: str, form: str, folder: Path, shard: bytes) -> None:
    path, (options, is_fine) = shard_path(folder, "train", 0), FORMS[form]
    path.write_bytes(shard)
    pq.write_table(HARMLESS[name](pq.read_table(path, partitioning=None)), path, **options)
    if is_fine:
        read_all(folder)
    else:
        with pytest.raises(InputError, match="its pages are compressed"):
            read_all(folder)


def test_rows_that_a_few_bytes_stand_for_are_not_unfolded(tmp_path: Path) -> None:
    table = pq.read_table(written_with_one_row(tmp_path), partitioning=None)
    many = table.take([0] * (MOST_ROWS + 1))
    path = shard_path(tmp_path, "train", 0)
    pq.write_table(header(rows=MOST_ROWS + 1)(many), path, compression="none")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="is not a shard"):
        open_store(tmp_path)


def test_a_picture_that_is_too_large_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, large = written_with_one_row(tmp_path), bytes(1001)
    for module in (writer_module, reader_module):
        monkeypatch.setattr(module, "MOST_PICTURE_BYTES", 1000)
    with pytest.raises(InputError, match="train-0 has 1001 bytes, and 1000 are the most: make it smaller"):
        write_shard(
            tmp_path,
            "train",
            [Row(**{**vars(ROWS["train"][0]), "image": large})],
            source="sky",
            classes=CLASSES,
            key="k",
            part=0,
            parts=1,
        )
    table = column("image", in_last(bytes=large))(pq.read_table(path, partitioning=None))
    pq.write_table(table, path, compression="none")
    with pytest.raises(InputError, match=r"part-00000\.parquet is damaged \(.*image\.bytes has \d+ bytes\)"):
        list(open_store(tmp_path).iterate("train"))


def test_a_picture_that_is_too_large_among_small_ones_is_not_read(
    folder: Path, shard: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard_path(folder, "train", 0)
    path.write_bytes(shard)
    monkeypatch.setattr(reader_module, "MOST_PICTURE_BYTES", 1000)
    table = column("image", in_last(bytes=bytes(1001)))(pq.read_table(path, partitioning=None))
    pq.write_table(table, path, compression="none", write_statistics=False)
    with pytest.raises(InputError, match="a picture has 1001 bytes, and 1000 are the most"):
        list(open_store(folder).iterate("train"))


def test_pictures_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [made_row(number, "train") for number in range(3 * PICTURES_AT_ONCE)]
    write_shard(tmp_path, "train", rows, source="sky", classes=CLASSES, key="k", part=0, parts=1)
    write_shard(tmp_path, "validation", ROWS["validation"], source="sky", classes=CLASSES, key="k", part=0, parts=1)
    whole, asked = pq.ParquetFile.iter_batches, []

    def counted(file: Any, *, batch_size: int, **options: Any) -> Any:
        asked.append(batch_size)
        return whole(file, batch_size=batch_size, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    assert list(open_store(tmp_path).iterate("train")) == rows
    assert asked == [PICTURES_AT_ONCE]


def written_with_one_row(folder: Path) -> Path:
    for split, rows in ROWS.items():
        write_shard(folder, split, rows[:1], source="sky", classes=CLASSES, key="k", part=0, parts=1)
    return shard_path(folder, "train", 0)
