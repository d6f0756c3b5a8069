import random
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.segments.parquet_footer import read_footer
from tests.segments.mutations import EXAMPLES

TABLE = pa.table(
    {
        "id": [f"{number}" * 40 for number in range(50)],
        "part": [{"bytes": bytes([number]) * 9, "path": None} for number in range(50)],
        "list": [[{"name": "a", "area": number}] * (number % 4) for number in range(50)],
    }
).replace_schema_metadata({"key": "value" * 100})
OPTIONS = [
    {},
    {"compression": "none", "row_group_size": 7},
    {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 20},
    {"compression": {"id": "gzip", "part.bytes": "none"}, "write_statistics": False, "write_page_checksum": True},
    {"use_dictionary": False, "write_page_index": True, "store_schema": False},
]


def written(folder: Path, **options: object) -> Path:
    pq.write_table(TABLE, folder / "t.parquet", **options)
    return folder / "t.parquet"


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_says_what_pyarrow_says(options: dict[str, object], tmp_path: Path) -> None:
    path = written(tmp_path, **options)
    metadata, groups = pq.read_metadata(path), read_footer(path)
    assert len(groups) == metadata.num_row_groups > 0
    for number, group in enumerate(groups):
        known = metadata.row_group(number)
        assert (group.rows, len(group.chunks)) == (known.num_rows, known.num_columns)
        for place, chunk in enumerate(group.chunks):
            column = known.column(place)
            assert (chunk.path, chunk.values) == (column.path_in_schema, column.num_values)
            assert chunk.size == column.total_compressed_size
            assert (chunk.codec == 0) == (column.compression == "UNCOMPRESSED")


def test_a_file_without_rows_has_no_groups(tmp_path: Path) -> None:
    pq.write_table(TABLE[:0], tmp_path / "t.parquet")
    assert sum(group.rows for group in read_footer(tmp_path / "t.parquet")) == 0


@pytest.mark.parametrize("examples", EXAMPLES)
def test_a_damaged_footer_is_read_or_refused(examples: int, tmp_path: Path) -> None:
    path = written(tmp_path, row_group_size=9)
    original = path.read_bytes()
    (length,) = struct.unpack("<I", original[-8:-4])
    for seed in range(examples):
        chance, data = random.Random(seed), bytearray(original)
        for _ in range(chance.randrange(1, 4)):
            data[len(data) - 9 - chance.randrange(length)] = chance.randrange(256)
        path.write_bytes(data)
        try:
            groups = read_footer(path)
        except ValueError as error:
            assert str(error)
        else:
            assert all(0 <= chunk.size <= len(data) for group in groups for chunk in group.chunks)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_reason_for_another_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "t.parquet"
    path.write_bytes(b"PAR1" + content + struct.pack("<I", len(content)) + b"PAR1")
    with pytest.raises(ValueError, match=r"\w"):
        read_footer(path)


WRONG = {
    "the footer ends too soon": b"\x19\xfc\xff\xff\xff\x07"[:1],
    "a list longer than the footer": b"\x49\xfc\xff\xff\xff\xff\x07\x00",
    "a number without end": b"\x16" + b"\xff" * 12 + b"\x00",
    "nested too deep": b"\x1c" * 40 + b"\x00" * 41,
    "unknown type 15": b"\x1f\x00",
    "field 4 is missing": b"\x00",
    "field 4 is missing or of another type": b"\x45\x02\x00",
}


@pytest.mark.parametrize("message", WRONG)
def test_each_fault_is_named(message: str, tmp_path: Path) -> None:
    content, path = WRONG[message], tmp_path / "t.parquet"
    path.write_bytes(b"PAR1" + content + struct.pack("<I", len(content)) + b"PAR1")
    with pytest.raises(ValueError, match=message):
        read_footer(path)


def test_what_has_no_footer_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path).read_bytes()
    length = struct.pack("<I", len(data))
    for content in (b"", b"PAR1PAR1", data[:-1], data[:-4] + b"PARE", data[:-8] + length + b"PAR1"):
        (tmp_path / "t.parquet").write_bytes(content)
        with pytest.raises(ValueError, match=r"no Parquet file|no footer"):
            read_footer(tmp_path / "t.parquet")
