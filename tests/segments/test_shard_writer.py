from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.segments import shard_writer as module
from tasks.segments.shard_reader import read_header
from tasks.segments.shard_writer import shard_path, write_shard
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row
from tests.segments.skies import CLASSES, MADE, made_row, written


def test_a_shard_s_header(tmp_path: Path) -> None:
    header = write_shard(
        tmp_path,
        "train",
        [made_row("a")],
        source="sky",
        classes={7: "sun", 0: "ground", 1: "sky"},
        key="k",
        part=0,
        parts=1,
        notes={"iou": 0.5},
    )
    assert header == read_header(shard_path(tmp_path, "train", 0))
    assert (header.source, header.key, header.part, header.parts, header.rows) == ("sky", "k", 0, 1, 1)
    assert list(header.classes.items()) == list(CLASSES.items())  # by id
    assert header.notes == {"iou": 0.5}


@pytest.mark.parametrize("moment", ["while it is written", "before it is renamed"])
def test_a_shard_that_cannot_be_written_leaves_the_old_one(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, [made_row("a")])
    before = path.read_bytes()

    def write_half(table: object, file: Path, **options: object) -> None:
        file.write_bytes(before[:40])
        raise OSError(28, "No space left on device")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    if moment == "while it is written":
        monkeypatch.setattr(module.pq, "write_table", write_half)
    else:
        monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        written(tmp_path, [made_row("a"), made_row("b")])
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["part-00000.parquet"]


def test_one_shard_can_be_made_again_alone(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    before = make_store(tmp_path)
    rows = list(before.iterate("train"))[20:]
    path = shard_path(tmp_path, "train", 1)
    path.unlink()
    header = replace_shard(before, rows)
    assert open_store(tmp_path).digest == before.digest
    assert header == before.shards[1][1]


def replace_shard(store: SegmentStore, rows: list[Row]) -> object:
    old = store.shards[1][1]
    return write_shard(
        store.path,
        "train",
        rows,
        source=old.source,
        classes=old.classes,
        key=old.key,
        part=old.part,
        parts=old.parts,
        notes=old.notes,
    )


def test_a_synthetic_row_is_not_written_to_the_validation_split(tmp_path: Path) -> None:
    rows = [made_row("c", split="validation"), made_row("s", split="validation", provenance=MADE)]
    with pytest.raises(InputError, match=r"s is synthetic \(other-label\), .*leave it out of the validation split"):
        written(tmp_path, rows)
    assert not list(tmp_path.rglob("*.parquet"))
