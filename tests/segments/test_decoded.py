import errno
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.segments import decoded as module
from tasks.segments.decoded import decode, decode_once
from tasks.segments.framing import frame, resize_image
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.provenance import Provenance
from tasks.segments.store import SegmentStore


def test_a_decoded_split_is_the_store_s_pictures_in_order(store: SegmentStore, tmp_path: Path) -> None:
    data = decode(store, "train", 48, tmp_path)
    rows = list(store.iterate("train"))
    assert len(data) == 40
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(data.images[i], decode_image(row.image, "x"))
        np.testing.assert_array_equal(data.label_maps[i], decode_label_map(row.mask, "x"))
        assert np.flatnonzero(data.present[i]).tolist() == np.unique(data.label_maps[i]).tolist()
    assert data.image_ids == tuple(row.image_id for row in rows)
    assert data.label_names == ("day", "night")
    assert [data.label_names[label] for label in data.labels] == [row.label for row in rows]
    assert (data.labels.dtype, data.images.dtype, data.label_maps.dtype) == (np.int64, np.uint8, np.uint8)


def test_synthetic_rows_are_known_by_their_number(
    make_store: Callable[..., SegmentStore], store: SegmentStore, tmp_path: Path
) -> None:
    made = Provenance(kind="copy", segment="", receiver="train-000", donor="train-000", seed=7, held_out=True)
    provenances = {"train-003": made, "train-005": replace(made, held_out=False)}
    mixed = make_store(
        tmp_path / "store", train=8, change=lambda row: replace(row, provenance=provenances.get(row.image_id))
    )
    assert decode(mixed, "train", 16, tmp_path / "decoded").synthetic == {3: (True, 7), 5: (False, 7)}
    assert decode(store, "train", 16, tmp_path / "decoded").synthetic == {}


def test_crops_are_kept_beside_the_whole_pictures(store: SegmentStore, tmp_path: Path) -> None:
    whole = decode(store, "train", 24, tmp_path)
    decode_once(store, "train", tmp_path, [(24, None), (24, (1, 2)), (24, (2,))])
    for class_ids in ((2,), (1, 2)):
        data = decode(store, "train", 24, tmp_path, class_ids)
        for i, row in enumerate(store.iterate("train")):
            image, label_map = decode_image(row.image, "x"), decode_label_map(row.mask, "x")
            for got, expected in zip(
                (data.images[i], data.label_maps[i]), frame(image, label_map, class_ids, "crop", 24), strict=True
            ):
                np.testing.assert_array_equal(got, expected)
            assert set(np.flatnonzero(data.present[i])) == set(data.label_maps[i].ravel().tolist())
        assert data.image_ids == whole.image_ids
    np.testing.assert_array_equal(decode(store, "train", 24, tmp_path).images, whole.images)


def test_the_arrays_are_memory_mapped_and_cannot_be_written(store: SegmentStore, decoded: Path) -> None:
    data = decode(store, "train", 32, decoded)
    for array in (data.images, data.label_maps, data.present):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
    assert (data.images.shape, data.label_maps.shape) == ((40, 3, 32, 32), (40, 32, 32))


def test_a_split_is_decoded_once(store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode(store, "validation", 16, tmp_path)

    def fail(data: bytes, name: str) -> None:
        raise AssertionError("decoded a second time")

    monkeypatch.setattr(module, "decode_image", fail)
    again = decode(store, "validation", 16, tmp_path)
    np.testing.assert_array_equal(first.images, again.images)
    with pytest.raises(AssertionError, match="a second time"):
        decode(store, "validation", 17, tmp_path)


def test_several_sizes_are_written_in_one_pass(
    store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(module, "decode_image", lambda data, name: seen.append(name) or decode_image(data, name))
    wanted = [(16, None), (24, None), (24, (2,))]
    decode_once(store, "validation", tmp_path / "together", wanted)
    assert seen == list(decode(store, "validation", 16, tmp_path / "together").image_ids)
    for size, crop_to in wanted:
        found, alone = (decode(store, "validation", size, tmp_path / name, crop_to) for name in ("together", "alone"))
        np.testing.assert_array_equal(found.images, alone.images)
        np.testing.assert_array_equal(found.label_maps, alone.label_maps)


def test_another_store_is_decoded_anew(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    one = make_store(tmp_path / "one", train=6)
    other = make_store(tmp_path / "other", train=6, change=lambda row: replace(row, label=f"not {row.label}"))
    assert decode(one, "train", 16, tmp_path / "decoded").label_names == ("day", "night")
    assert decode(other, "train", 16, tmp_path / "decoded").label_names == ("not day", "not night")


def test_labels_have_the_same_number_in_both_splits(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "store",
        train=8,
        validation=4,
        change=lambda row: replace(row, label="dawn" if row.image_id == "train-000" else row.label),
    )
    train, validation = (decode(store, split, 16, tmp_path / "decoded") for split in ("train", "validation"))
    assert train.label_names == validation.label_names == ("dawn", "day", "night")
    assert validation.labels.tolist() == [1, 2, 1, 2]


def test_the_labels_of_training_have_the_first_numbers(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    names = {"train": {"day": "b", "night": "d"}, "validation": {"day": "a", "night": "c"}}
    store = make_store(
        tmp_path / "store",
        train=8,
        validation=4,
        change=lambda row: replace(row, label="b" if row.image_id == "validation-003" else names[row.split][row.label]),
    )
    train, validation = (decode(store, split, 16, tmp_path / "decoded") for split in ("train", "validation"))
    assert train.label_names == validation.label_names == ("b", "d", "a", "c")
    assert train.labels.tolist() == [0, 1] * 4
    assert validation.labels.tolist() == [2, 3, 2, 0]
    assert (train.label_count, validation.label_count) == (2, 3)


@pytest.mark.parametrize("picture", ["image", "mask"])
def test_a_broken_picture_is_named_and_nothing_half_is_left(
    picture: str, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(
        tmp_path / "store",
        train=8,
        change=lambda row: replace(row, **{picture: b"broken"}) if row.image_id == "train-003" else row,
    )
    with pytest.raises(InputError, match="train-003"):
        decode(store, "train", 16, tmp_path / "decoded")
    assert not [path for path in (tmp_path / "decoded").rglob("*") if path.is_file()]
    assert len(decode(store, "validation", 16, tmp_path / "decoded")) == 16


def test_a_full_disk_leaves_nothing_half_and_a_way_to_go_on(
    store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str, encoding: str) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            decode(store, "validation", 16, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(decode(store, "validation", 16, tmp_path)) == 16


def test_tasks_of_one_machine_may_decode_at_the_same_time(store: SegmentStore, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: decode(store, "train", 16, tmp_path), range(4)))
    expected = [resize_image(decode_image(row.image, "x"), 16) for row in store.iterate("train")]
    for data in found:
        np.testing.assert_array_equal(data.images, expected)
    folders = {path.parent.name for path in tmp_path.rglob("rows.json")}
    assert folders == {"train"}
    assert not list(tmp_path.rglob(".*"))


def test_a_task_that_comes_second_takes_what_the_first_one_wrote(
    store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other task, on another process, is done just before this one renames its folder.
    rename = Path.rename

    def rename_late(self: Path, target: Path) -> Path:
        target.mkdir(parents=True)
        for file in self.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    data = decode(store, "validation", 16, tmp_path)
    assert len(data) == 16
    rows = next(tmp_path.rglob("rows.json"))
    assert json.loads(rows.read_text(encoding="utf-8"))["image_ids"] == list(data.image_ids)


def test_room_on_the_disk_is_asked_for_before_anything_is_written(
    store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int, start: int, size: int) -> None:
        assert (start, size) == (0, 128 + 40 * 3 * 48 * 48)  # NumPy's header, and the pictures
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left on device: .*images\.npy'"):
        decode(store, "train", 48, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
