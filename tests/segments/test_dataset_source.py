import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.segments.dataset_source import DatasetSource
from tasks.segments.pictures import decode_image, encode_image, encode_label_map

datasets = pytest.importorskip("datasets")

CLASSES = ((0, "background"), (7, "part"))


@pytest.fixture(autouse=True)
def no_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def photo(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (3, 6, 8), dtype=np.uint8)


def label_map(number: int) -> np.ndarray:
    return np.random.default_rng(number).choice(np.array([0, 7], np.uint8), (6, 8))


def rows(count: int = 10) -> dict[str, list[Any]]:
    return {
        "image": [{"bytes": encode_image(photo(n)), "path": f"p{n}.png"} for n in range(count)],
        "mask": [{"bytes": encode_label_map(label_map(n)), "path": None} for n in range(count - 1)] + [None],
        "label": [n % 2 for n in range(count)],
        "age": ["old" if n < 5 else None for n in range(count)],
    }


def write(path: Path, columns: dict[str, list[Any]], **features: Any) -> Path:
    known = {"image": datasets.Image(), "mask": datasets.Image(), "age": datasets.Value("string")}
    known["label"] = datasets.ClassLabel(names=["no", "yes"])
    known |= features
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = datasets.Features({name: known[name] for name in columns})
    datasets.Dataset.from_dict(columns, features=kept).to_parquet(path)
    return path


def source(path: Path | str, **changes: Any) -> DatasetSource:
    settings: dict[str, Any] = {"dataset": str(path), "mask": "mask", "group": "age", "class_names": CLASSES}
    return DatasetSource(**settings | changes)


def test_rows_of_one_file_are_split_by_label(tmp_path: Path) -> None:
    faces = source(write(tmp_path / "faces.parquet", rows()))
    items = faces.items()
    assert faces.name == "faces" and faces.classes() == dict(CLASSES)
    assert [item.image_id for item in items] == [f"{row:07d}" for row in range(10)]
    assert Counter((item.label, item.split) for item in items) == {
        ("yes", "train"): 4,
        ("yes", "validation"): 1,
        ("no", "train"): 4,
        ("no", "validation"): 1,
    }
    assert [item.group for item in items] == ["old"] * 5 + [None] * 5
    assert len(source(faces.dataset, limit=6).items()) == 6


def test_bytes_come_as_they_were_with_the_label_map(tmp_path: Path) -> None:
    faces = source(write(tmp_path / "faces.parquet", rows()))
    loaded = faces.load(faces.items()[3])
    assert loaded.image == encode_image(photo(3)) and loaded.path == "p3.png"
    assert loaded.label_map is not None and np.array_equal(loaded.label_map, label_map(3))
    assert [faces.has_mask(item) for item in faces.items()] == [True] * 9 + [False]
    assert faces.load(faces.items()[9]).label_map is None
    assert source(faces.dataset, mask=None).load(faces.items()[3]).label_map is None
    assert source(faces.dataset, mask=None).classes() == {}


def test_plain_bytes_will_do(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"image": [encode_image(photo(n)) for n in range(4)], "label": [0, 1, 0, 1]}
    faces = source(write(tmp_path / "faces.parquet", columns, image=datasets.Value("binary")), mask=None, group=None)
    assert faces.load(faces.items()[1]).image == encode_image(photo(1))


@pytest.mark.parametrize("layout", ["split={}/part-0.parquet", "data/{}-00000-of-00001.parquet"])
@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_splits_of_the_data_set_are_used(tmp_path: Path, layout: str, held_out: str) -> None:
    write(tmp_path / "faces" / layout.format("train"), rows(8))
    write(tmp_path / "faces" / layout.format(held_out), rows(4))
    faces = source(tmp_path / "faces")
    assert Counter(item.split for item in faces.items()) == {"train": 8, "validation": 4}
    last = faces.items()[-1]
    assert last.image_id == "validation-0000003" and faces.load(last).image == encode_image(photo(3))


def test_the_source_can_be_pickled_after_it_was_opened(tmp_path: Path) -> None:
    faces = source(write(tmp_path / "faces.parquet", rows()))
    items = faces.items()
    assert pickle.loads(pickle.dumps(faces)).items() == items


def test_the_fingerprint_follows_the_file(tmp_path: Path) -> None:
    before = source(write(tmp_path / "faces.parquet", rows())).items()[0].fingerprint
    assert source(write(tmp_path / "faces.parquet", rows(12))).items()[0].fingerprint != before


@pytest.mark.parametrize(
    ("values", "feature", "expected"),
    [
        ([True, False] * 2, datasets.Value("bool"), {"yes", "no"}),
        ([3, 5] * 2, datasets.Value("int64"), {"3", "5"}),
        (["cat", " dog"] * 2, datasets.Value("string"), {"cat", "dog"}),
        ([0, 1] * 2, datasets.ClassLabel(names=["a", "b"]), {"a", "b"}),
    ],
)
def test_labels_of_any_kind_become_texts(tmp_path: Path, values: list[Any], feature: Any, expected: set[str]) -> None:
    path = write(tmp_path / "faces.parquet", rows(4) | {"label": values}, label=feature)
    assert {item.label for item in source(path).items()} == expected


def test_class_names_come_from_a_file_or_from_the_data_set(tmp_path: Path) -> None:
    names = {0: "background", 7: "part"}
    (tmp_path / "classes.json").write_text(json.dumps(names))
    path = write(tmp_path / "faces.parquet", rows(4))
    assert source(path, class_names=tmp_path / "classes.json").classes() == names

    segments = [[{"class_id": class_id, "name": name} for class_id, name in CLASSES]] * 4
    kind = datasets.List({"class_id": datasets.Value("int32"), "name": datasets.Value("string")})
    stored = write(tmp_path / "stored.parquet", rows(4) | {"segments": segments}, segments=kind)
    assert source(stored, class_names=None).classes() == names

    parts = datasets.List({"kind": datasets.ClassLabel(names=["sky", "tree"])})
    labelled = write(tmp_path / "labelled.parquet", rows(4) | {"parts": [[{"kind": 1}]] * 4}, parts=parts)
    assert source(labelled, class_names=None).classes() == {0: "sky", 1: "tree"}


def refused(path: Path | str, message: str, **changes: Any) -> None:
    with pytest.raises(InputError, match=message) as raised:
        source(path, **changes).items()
    assert "\n" not in str(raised.value)


def test_wrong_descriptions_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "faces.parquet", rows(4))
    refused(path, "no column 'photo': it has image, mask, label, age", image="photo")
    refused(path, "no column 'sex': it has image, mask, label, age", group="sex")
    refused(path, "does not name the classes", class_names=None)
    refused(path, "no class table", class_names=((0, "a"), (1, "a")))
    refused(path, "column 'image' of data set .* holds dict", label="image")
    refused(tmp_path / "none.parquet", "is missing")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no Parquet file")
    write(tmp_path / "mixed" / "train.parquet", rows(4))
    write(tmp_path / "mixed" / "more.parquet", rows(4))
    refused(tmp_path / "mixed", "more.parquet is of no split")
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    refused(tmp_path / "broken.parquet", r"broken\.parquet cannot be opened .*: check the file")
    refused(write(tmp_path / "one.parquet", rows(4) | {"label": [1] * 4}), "one label only, 'yes'")
    refused(write(tmp_path / "gap.parquet", rows(4) | {"label": [0, 1, -1, None]}), "no label for '0000002', '0000003'")


def test_wrong_photos_are_refused_and_named(tmp_path: Path) -> None:
    columns = rows(8)
    columns["image"][0] = {"bytes": b"broken", "path": None}
    columns["image"][1] = None
    columns["mask"][2] = {"bytes": encode_label_map(np.zeros((6, 9), np.uint8)), "path": None}
    columns["mask"][3] = {"bytes": encode_label_map(np.full((6, 8), 3, np.uint8)), "path": None}
    columns["image"][4] = {"bytes": None, "path": str(tmp_path / "gone.png")}
    as_struct = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    faces = source(write(tmp_path / "faces.parquet", columns, image=as_struct))
    messages = ["image of row 0000000 .* cannot be read", "row 0000001 .* is empty", "9 x 6 pixels, its photo 8 x 6"]
    messages += ["class id 3, which the class table lacks", r"gone\.png cannot be read \(No such file"]
    items = faces.items()
    for item, message in zip(items, messages, strict=False):
        with pytest.raises(InputError, match=message):
            faces.load(item)
    assert faces.load(items[5]).label_map is not None
    with pytest.raises(InputError, match="holds int, no pictures"):
        source(faces.dataset, image="label").load(items[5])


def test_a_picture_named_by_its_path_has_to_be_below_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "set" / "more").mkdir(parents=True)
    (tmp_path / "set" / "more" / "in.png").write_bytes(encode_image(photo(1)))
    (tmp_path / "out.png").write_bytes(encode_image(photo(2)))
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "out.png")
    names = [f"{tmp_path}/set/more/in.png", "more/in.png", f"{tmp_path}/out.png", "../out.png", "link.png", "a\0b"]
    columns = rows(len(names)) | {"image": [{"bytes": None, "path": name} for name in names]}
    del columns["mask"]
    as_struct = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    faces = source(write(tmp_path / "set" / "faces.parquet", columns, image=as_struct), mask=None)
    items = faces.items()
    for item in items[:2]:
        assert np.array_equal(decode_image(faces.load(item).image, "x"), photo(1))
    for item in items[2:5]:
        with pytest.raises(InputError, match=r"photo \d+ is said to be .*, which is not below .*/set: copy it there"):
            faces.load(item)
    with pytest.raises(InputError):
        faces.load(items[5])


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Couldn't reach 'someone/faces' on the Hub\nmore\nlines")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    refused("someone/faces", r"someone/faces cannot be opened \(Couldn't reach .* on the Hub\): check the name")


@pytest.mark.parametrize("column", ["image", "label", "mask", "group"])
@pytest.mark.parametrize("name", ["", "face"])
def test_a_column_that_is_not_there_is_named(tmp_path: Path, column: str, name: str) -> None:
    refused(write(tmp_path / "faces.parquet", rows()), f"has no column '{name}'", **{column: name})


def test_splits_without_train_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"left": None, "right": None})
    refused("someone/faces", "has the splits left, right, none of them 'train'")
