"""What the footer of a Parquet file says of its row groups, read by hand.

pyarrow ends the whole process, without an exception, where Python asks it about the columns of some damaged footers.
A footer is a Thrift struct in the compact protocol; of its fields only those that say how much there is are kept.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"PAR1"
MOST_FOOTER_BYTES = 16 << 20
_DEEPEST = 12  # structs in structs; a footer has about six
# Thrift's types in the compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_WHOLE = (4, 5, 6)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A column of a row group.

    Attributes:
        path: its name, with a point before each name of a field: "image.bytes".
        codec: how its pages are compressed; 0 for not at all.
        values: number of values, nulls among them.
        size: bytes of its pages in the file.
    """

    path: str
    codec: int
    values: int
    size: int


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows that are stored together.

    Attributes:
        rows: their number.
        chunks: its columns.
    """

    rows: int
    chunks: tuple[Chunk, ...]


def read_footer(path: Path) -> tuple[RowGroup, ...]:
    """The row groups of a Parquet file.

    Raises:
        ValueError: it is no Parquet file, its footer is damaged or encrypted, or its columns lie in other files.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        if end < 12:
            raise ValueError("no Parquet file")
        file.seek(end - 8)
        length, magic = struct.unpack("<I4s", file.read(8))
        if magic != MAGIC or length > min(end - 12, MOST_FOOTER_BYTES):
            raise ValueError("no footer")
        file.seek(end - 8 - length)
        fields = _Reader(file.read(length)).fields()
    groups = tuple(_group(values) for values in _of(fields, 4, list))
    if any(not 0 <= chunk.size <= end for group in groups for chunk in group.chunks):
        raise ValueError("a column is longer than the file")
    return groups


def _group(fields: Any) -> RowGroup:
    return RowGroup(rows=_of(fields, 3, int), chunks=tuple(_chunk(values) for values in _of(fields, 1, list)))


def _chunk(fields: Any) -> Chunk:
    described = _of(fields, 3, dict)
    if 1 in fields:
        raise ValueError("a column lies in another file")
    names = [name.decode("utf-8") if isinstance(name, bytes) else "" for name in _of(described, 3, list)]
    codec, values, size = (_of(described, number, int) for number in (4, 5, 7))
    return Chunk(path=".".join(names), codec=codec, values=values, size=size)


def _of(fields: Any, number: int, kind: type) -> Any:
    """A field that has to be there; Thrift's own readers would pass over one of another type."""
    if not isinstance(fields, dict) or type(fields.get(number)) is not kind:
        raise ValueError(f"the field {number} is missing or of another type")
    return fields[number]


class _Reader:
    """Reads values of the compact protocol one after the other; ValueError where they end too soon."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """A struct's values by the number of their field."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            found[number] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in _WHOLE:
            return self._whole()
        if kind == _BINARY:
            return self._bytes(self._length())
        if kind == _STRUCT:
            return self.fields(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _BYTE:
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ValueError(f"unknown type {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._length()
        if size > len(self.data) - self.place:  # each takes a byte or more
            raise ValueError("a list longer than the footer")
        kind = head & 15
        return [self._byte() if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1) for _ in range(size)]

    def _byte(self) -> int:
        if self.place >= len(self.data):
            raise ValueError("the footer ends too soon")
        self.place += 1
        return self.data[self.place - 1]

    def _bytes(self, size: int) -> bytes:
        if size > len(self.data) - self.place:
            raise ValueError("the footer ends too soon")
        self.place += size
        return self.data[self.place - size : self.place]

    def _length(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number without end")

    def _whole(self) -> int:
        value = self._length()
        return value >> 1 ^ -(value & 1)
