import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.segments import shard_reader
from tasks.segments import shard_writer as module
from tasks.segments.pictures import decode_image, decode_label_map, encode_image, encode_label_map
from tasks.segments.shard_reader import read_header
from tasks.segments.shard_schema import METADATA_KEY
from tasks.segments.shard_writer import shard_path
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments
from tests.segments.skies import CLASSES, MADE, made_row, whole_store, written


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [made_row("a"), made_row("b", group="g", label="night", image=b"any bytes")]
    written(tmp_path, rows)
    written(tmp_path, [made_row("c", split="validation")])
    store = open_store(tmp_path)
    assert list(store.iterate("train")) == rows
    assert list(store.iterate("validation")) == [made_row("c", split="validation")]
    assert (store.rows("train"), store.rows("validation")) == (2, 1)
    assert (store.source, store.classes, store.notes) == ("sky", CLASSES, {})
    assert store.columns("train", ["label", "group"]) == {"label": ["day", "night"], "group": [None, "g"]}
    assert store.labels["train"] == ("day", "night")
    assert store.labels is store.labels
    assert store.segmenter is None


def test_pictures_come_back_to_the_bit(store: SegmentStore) -> None:
    row = next(store.iterate("train"))
    image, label_map = decode_image(row.image, "x"), decode_label_map(row.mask, "x")
    assert (image.shape, label_map.shape) == ((3, 48, 48), (48, 48))
    assert encode_image(image) == row.image
    assert row.segments == describe_segments(label_map, store.classes)


def test_shards_follow_each_other_and_row_groups_too(tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(150)]
    for part in range(3):
        written(tmp_path, [made_row(name) for name in names[part * 50 : (part + 1) * 50]], part=part, parts=3)
    validation = [made_row(name, split="validation") for name in names]  # 150 rows: three row groups
    path = written(tmp_path, validation)
    store = open_store(tmp_path)
    for split in ("train", "validation"):
        assert [row.image_id for row in store.iterate(split)] == names
        assert store.columns(split, ["image_id"])["image_id"] == names
        assert store.rows(split) == 150
    assert pq.ParquetFile(path).num_row_groups == 3


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    digests = {
        name: whole_store(tmp_path / name, **fields).digest
        for name, fields in {"one": {}, "same": {}, "classes": {"classes": {**CLASSES, 9: "moon"}}}.items()
    }
    assert digests["one"] == digests["same"] != digests["classes"]
    seen = {digests["one"]}
    image = encode_image(np.full((3, 2, 3), 8, dtype=np.uint8))
    mask = encode_label_map(np.zeros((2, 3), dtype=np.uint8))
    changes: list[dict[str, Any]] = [
        {"image": image}, {"mask": mask}, {"label": "dusk"}, {"group": "h"}, {"image_id": "z"}
    ]  # fmt: skip
    for number, change in enumerate(changes):
        folder = tmp_path / str(number)
        written(folder, [made_row("a", **change), made_row("b", group="g", label="night")])
        written(folder, [made_row("c", split="validation")])
        seen.add(open_store(folder).digest)
    assert len(seen) == 1 + len(changes)


def test_the_digest_follows_the_order_of_rows_and_not_the_folder(tmp_path: Path) -> None:
    def digest(name: str, rows: list[Row]) -> str:
        written(tmp_path / name, rows)
        written(tmp_path / name, [made_row("c", split="validation")])
        return open_store(tmp_path / name).digest

    a, b = made_row("a"), made_row("b")
    assert digest("x", [a, b]) == digest("y", [a, b]) != digest("z", [b, a])


def with_metadata(path: Path, **fields: object) -> None:
    """Rewrite a shard with other fields in its header."""
    table = pq.read_table(path, partitioning=None)
    metadata = dict(table.schema.metadata)
    header = {**json.loads(metadata[METADATA_KEY]), **fields}
    pq.write_table(table.replace_schema_metadata({**metadata, METADATA_KEY: json.dumps(header)}), path)


def test_a_synthetic_row_comes_back_with_its_provenance(tmp_path: Path) -> None:
    rows = [made_row("a"), made_row("s", provenance=MADE)]
    written(tmp_path, rows)
    written(tmp_path, [made_row("c", split="validation")])
    store = open_store(tmp_path)
    assert list(store.iterate("train")) == store.at([0, 1]) == rows
    assert store.columns("train", ["provenance"])["provenance"] == [None, asdict(MADE)]


def test_a_synthetic_row_is_not_read_from_the_validation_split(tmp_path: Path) -> None:
    # A shard that was made by other means.
    shard = written(tmp_path, [made_row("a"), made_row("s", provenance=MADE)])
    target = shard_path(tmp_path, "validation", 0)
    target.parent.mkdir()
    table = pq.read_table(shard, partitioning=None)
    moved = table.set_column(1, "split", pa.array(["validation", "validation"]))
    pq.write_table(moved.replace_schema_metadata(table.schema.metadata), target, compression="none")
    store = open_store(tmp_path)
    assert [row.image_id for row in store.at([0, 1, 2])] == ["a", "s", "a"]
    for read in (lambda: list(store.iterate("validation")), lambda: store.at([3])):
        with pytest.raises(InputError, match=r"split=validation/part-00000\.parquet: s is synthetic"):
            read()


def test_a_shard_of_another_version_is_refused(tmp_path: Path) -> None:
    whole_store(tmp_path)
    with_metadata(shard_path(tmp_path, "validation", 0), version=99)
    with pytest.raises(InputError, match=r"part-00000\.parquet was written as store version 99, this is version \d+"):
        open_store(tmp_path)


@pytest.mark.parametrize(("split", "found"), [("train", "1 of 2"), ("validation", "0 of its")])
def test_a_missing_shard_is_named(
    split: str, found: str, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    make_store(tmp_path)
    next((tmp_path / f"split={split}").glob("part-*.parquet")).unlink()
    with pytest.raises(InputError, match=rf"is not whole: the split {split} has {found} shards; run `heml prepare`"):
        open_store(tmp_path)


def test_a_shard_too_many_is_named(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    make_store(tmp_path)
    path = shard_path(tmp_path, "validation", 0)
    shard_path(tmp_path, "validation", 1).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"is not whole: the split validation has 2 of 1 shards"):
        open_store(tmp_path)


@pytest.mark.parametrize("fields", [{"classes": {0: "ground", 1: "sea", 7: "sun"}}, {"source": "sea"}])
def test_shards_that_do_not_fit_together_are_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    whole_store(tmp_path)
    written(tmp_path, [made_row("c", split="validation")], **fields)
    with pytest.raises(InputError, match="have different class tables or sources: make the store in a new folder"):
        open_store(tmp_path)


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"is not a segment store \(no split=\*/part-\*\.parquet\): make one with"):
            open_store(folder)


def test_what_is_no_shard_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, [made_row("a")])
    plain = pq.read_table(path, partitioning=None).replace_schema_metadata(None)
    pq.write_table(plain, tmp_path / "plain.parquet")
    (tmp_path / "nonsense.parquet").write_bytes(b"nonsense")
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-100])
    for name in ("plain", "nonsense", "cut", "nowhere"):
        with pytest.raises(InputError, match=rf"{name}\.parquet is not a shard of a segment store: make it again with"):
            read_header(tmp_path / f"{name}.parquet")


def test_the_segmenter_s_folder_belongs_to_the_store(tmp_path: Path) -> None:
    whole_store(tmp_path)
    (tmp_path / "segmenter").mkdir()
    assert open_store(tmp_path).segmenter == tmp_path / "segmenter"


def test_hugging_face_opens_the_store_and_shows_its_pictures(store: SegmentStore, tmp_path: Path) -> None:
    shards = [str(shard_path(store.path, "train", part)) for part in (0, 1)]
    opened = datasets.Dataset.from_parquet(shards, cache_dir=str(tmp_path))
    assert len(opened) == 40
    assert isinstance(opened.features["image"], datasets.Image)
    assert isinstance(opened.features["mask"], datasets.Image)
    assert opened.features["label"] == datasets.Value("string")
    row, first = opened[0], next(store.iterate("train"))
    np.testing.assert_array_equal(np.moveaxis(np.asarray(row["image"]), -1, 0), decode_image(first.image, "x"))
    np.testing.assert_array_equal(np.asarray(row["mask"]), decode_label_map(first.mask, "x"))
    assert row["segments"] == first.segments
    assert row["provenance"] is None or set(row["provenance"].values()) == {None}
    assert (row["image_id"], row["label"], row["group"]) == (first.image_id, first.label, first.group)


def test_hugging_face_opens_the_whole_folder_with_its_splits(store: SegmentStore, tmp_path: Path) -> None:
    opened = datasets.load_dataset(
        "parquet",
        data_files={split: str(store.path / f"split={split}" / "*.parquet") for split in ("train", "validation")},
        cache_dir=str(tmp_path),
    )
    assert {split: len(part) for split, part in opened.items()} == {"train": 40, "validation": 16}
    assert set(opened["validation"]["split"]) == {"validation"}
    assert isinstance(opened["validation"].features["image"], datasets.Image)


def test_the_key_and_the_notes_are_not_part_of_the_digest(tmp_path: Path) -> None:
    # What a store holds decides whether nodes are trained again, not how it came about.
    one = whole_store(tmp_path / "one", key="k1", notes={"a": 1})
    other = whole_store(tmp_path / "other", key="k2", notes={"a": 2})
    assert one.digest == other.digest
    assert len(one.digest) == len(hashlib.sha256().hexdigest())


def test_some_images_are_read_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_A_GROUP", 2)
    monkeypatch.setattr(shard_reader, "PICTURES_AT_ONCE", 1)  # of a group's batches some have none of the images
    written(tmp_path, [made_row(name) for name in "abcde"], parts=2)
    written(tmp_path, [made_row(name, group="g") for name in "fg"], part=1, parts=2)
    written(tmp_path, [made_row(name, split="validation") for name in "hij"])
    store = open_store(tmp_path)
    rows = [*store.iterate("train"), *store.iterate("validation")]
    for numbers in ([9, 0, 4, 5, 4], [7], [], list(range(10))):
        assert store.at(numbers) == [rows[number] for number in numbers]
    for outside in (10, -1):
        with pytest.raises(ValueError, match=f"the images 0 to 9; got {outside}"):
            store.at([3, outside])


def test_only_the_row_groups_of_the_images_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_A_GROUP", 2)
    written(tmp_path, [made_row(name) for name in "abcde"])
    written(tmp_path, [made_row("f", split="validation")])
    read: list[int] = []
    whole = pq.ParquetFile.iter_batches

    def counted(file: Any, *, row_groups: list[int], **options: Any) -> Any:
        read.extend(row_groups)
        return whole(file, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    assert [row.image_id for row in open_store(tmp_path).at([3, 2])] == ["d", "c"]
    assert read == [1]
