import json
import os
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.segments.folder_source import FolderSource
from tasks.segments.pictures import decode_image, encode_image, encode_label_map
from tasks.segments.segment_label import SegmentLabel

CLASSES = {0: "background", 7: "part"}


def photo(number: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (3, height, width), dtype=np.uint8)


def label_map(number: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(number).choice(np.array([0, 7], np.uint8), (height, width))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of 10 photos of two labels; the last one has no mask."""
    root = tmp_path / "faces"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rows = ["id,smiles,age"]
    for number in range(10):
        (root / f"images/p{number}.png").write_bytes(encode_image(photo(number)))
        if number < 9:
            (root / f"masks/p{number}.png").write_bytes(encode_label_map(label_map(number)))
        rows.append(f"p{number},{'yes' if number % 2 else 'no'},{'old' if number < 5 else ''}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


def source(root: Path, **changes: Any) -> FolderSource:
    settings: dict[str, Any] = {
        "images": root / "images",
        "labels": root / "labels.csv",
        "label": "smiles",
        "group": "age",
        "masks": root / "masks",
        "class_names": root / "classes.json",
    }
    return FolderSource(**settings | changes)


def test_items_are_split_by_label(folder: Path) -> None:
    items = source(folder).items()
    assert [item.image_id for item in items] == [f"p{number}" for number in range(10)]
    assert Counter((item.label, item.split) for item in items) == {
        ("yes", "train"): 4,
        ("yes", "validation"): 1,
        ("no", "train"): 4,
        ("no", "validation"): 1,
    }
    assert [item.group for item in items] == ["old"] * 5 + [None] * 5
    assert source(folder).name == "faces"


def test_a_photo_comes_as_it_is_with_its_label_map(folder: Path) -> None:
    faces = source(folder)
    loaded = faces.load(faces.items()[3])
    assert loaded.image == (folder / "images/p3.png").read_bytes() and loaded.path == "p3.png"
    assert loaded.label_map is not None and np.array_equal(loaded.label_map, label_map(3))
    assert faces.classes() == CLASSES


def test_a_photo_without_a_mask_is_left_to_the_segmenter(folder: Path) -> None:
    faces = source(folder)
    assert [faces.has_mask(item) for item in faces.items()] == [True] * 9 + [False]
    assert faces.load(faces.items()[9]).label_map is None
    unmasked = source(folder, masks=None, class_names=None)
    assert unmasked.classes() == {} and unmasked.load(unmasked.items()[0]).label_map is None


def test_webp_becomes_png_and_suffixes_may_be_capitals(folder: Path) -> None:
    (folder / "images/p0.png").unlink()
    Image.fromarray(photo(0).transpose(1, 2, 0)).save(folder / "images/p0.WEBP", "WEBP", lossless=True)
    faces = source(folder)
    loaded = faces.load(faces.items()[0])
    assert loaded.image.startswith(b"\x89PNG") and np.array_equal(decode_image(loaded.image, ""), photo(0))


def test_the_source_can_be_pickled(folder: Path) -> None:
    again = pickle.loads(pickle.dumps(source(folder)))
    assert again == source(folder) and again.items() == source(folder).items()


def test_the_order_of_the_rows_does_not_matter(folder: Path) -> None:
    before = source(folder).items()
    header, *rows = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\r\n".join([header, *reversed(rows)]), encoding="utf-8-sig")
    assert source(folder).items() == before


def test_a_limit_keeps_the_proportions(folder: Path) -> None:
    items = source(folder, limit=6).items()
    assert len(items) == 6 and Counter(item.label for item in items) == {"yes": 3, "no": 3}
    assert {item.split for item in items} == {"train", "validation"}


def test_the_fingerprint_follows_the_files(folder: Path) -> None:
    before = {item.image_id: item.fingerprint for item in source(folder).items()}
    os.utime(folder / "images/p1.png", ns=(1, 1))
    os.utime(folder / "masks/p2.png", ns=(1, 1))
    after = {item.image_id: item.fingerprint for item in source(folder).items()}
    assert {name for name in before if before[name] != after[name]} == {"p1", "p2"}
    (folder / "classes.json").write_text(json.dumps(CLASSES | {9: "other"}))
    assert all(item.fingerprint != after[item.image_id] for item in source(folder).items())


def test_photos_that_are_not_listed_are_left_alone(folder: Path) -> None:
    (folder / "images/stray.png").write_bytes(b"")
    (folder / "images/notes.txt").write_text("")
    assert len(source(folder).items()) == 10
    assert source(folder).unlisted() == ["stray"]
    assert source(folder, labels=None, label=SegmentLabel(segment="part"), group=None).unlisted() == []
    (folder / "images/stray.png").unlink()
    assert source(folder).unlisted() == []


def rewrite(root: Path, old: str, new: str) -> None:
    file = root / "labels.csv"
    file.write_text(file.read_text().replace(old, new))


def test_whole_labels_may_be_split(folder: Path) -> None:
    kinds = ("cat", "dog", "eel", "fox", "gnu")
    rows = [f"p{number},{kinds[number // 2]}," for number in range(10)]
    (folder / "labels.csv").write_text("id,smiles,age\n" + "\n".join(rows))
    items = source(folder, split_by_label=True, validation=0.4).items()
    novel = {item.label for item in items if item.split == "validation"}
    assert len(items) == 10 and len(novel) == 2
    assert all((item.split == "validation") == (item.label in novel) for item in items)


WRONG: dict[str, Callable[[Path], Any]] = {
    "images folder .* is missing": lambda root: {"images": root / "nowhere"},
    "labels file .*nothing.csv is missing": lambda root: {"labels": root / "nothing.csv"},
    "photos need labels: give a labels.csv with the columns id and smiles": lambda root: {"labels": None},
    "labels file .* cannot be read": lambda root: (root / "labels.csv").write_bytes(b"id,smiles\n\xff\xfe,\n"),
    "no column 'frowns': it has id, smiles, age": lambda root: {"label": "frowns"},
    "no column 'height': it has id, smiles, age": lambda root: {"group": "height"},
    "no column 'id': it has name": lambda root: rewrite(root, "id,", "name,"),
    "no column 'id': it has none": lambda root: (root / "labels.csv").write_text(""),
    r"no image for 'q0', 'q1', 'q2', \.\.\. \(10 in all\)": lambda root: rewrite(root, "\np", "\nq"),
    "several images for 'p0'": lambda root: (root / "images/p0.jpg").write_bytes(b""),
    "'p1' more than once": lambda root: rewrite(root, "p2,", "p1,"),
    "no label for 'p1', 'p3', 'p5', ": lambda root: rewrite(root, "yes", ""),
    "no label for 'p9'": lambda root: rewrite(root, "p9,yes,", "p9"),
    "one label only, 'no'": lambda root: rewrite(root, "yes", "no"),
    "single photo of the label 'maybe'": lambda root: rewrite(root, "p4,no", "p4,maybe"),
    "has no photo": lambda root: (root / "labels.csv").write_text("id,smiles,age\n"),
    "need class names": lambda root: {"class_names": None},
    "class names file .* is missing": lambda root: (root / "classes.json").unlink(),
    "class names file .* cannot be read": lambda root: (root / "classes.json").write_text("{"),
    "has no mask .* for any photo": lambda root: {"masks": root / "images/elsewhere"},
    "between 0 and 1; got 2": lambda root: {"validation": 2},
    "a limit of 3 photos": lambda root: {"limit": 3},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_description_is_refused_in_one_line(folder: Path, message: str) -> None:
    changes = WRONG[message](folder)
    with pytest.raises(InputError, match=message) as raised:
        source(folder, **(changes if isinstance(changes, dict) else {})).items()
    assert "\n" not in str(raised.value)


WRONG_FILES: dict[str, Callable[[Path], Any]] = {
    r"p0\.png cannot be read": lambda root: (root / "images/p0.png").write_bytes(b"broken"),
    r"has no image for 'p0' any more": lambda root: (root / "images/p0.png").unlink(),
    r"masks/p0\.png cannot be read": lambda root: (root / "masks/p0.png").write_bytes(b"broken"),
    r"masks/p0\.png is 9 x 6 pixels, its photo 8 x 6": lambda root: (root / "masks/p0.png").write_bytes(
        encode_label_map(label_map(0, width=9))
    ),
    r"masks/p0\.png is not one byte a pixel": lambda root: (root / "masks/p0.png").write_bytes(encode_image(photo(0))),
    r"masks/p0\.png has the class id 3, which .*classes\.json lacks": lambda root: (root / "masks/p0.png").write_bytes(
        encode_label_map(np.full((6, 8), 3, np.uint8))
    ),
}


@pytest.mark.parametrize("message", WRONG_FILES)
def test_a_wrong_photo_is_refused_and_named(folder: Path, message: str) -> None:
    faces = source(folder)
    first, second = faces.items()[:2]
    WRONG_FILES[message](folder)
    with pytest.raises(InputError, match=message) as raised:
        faces.load(first)
    assert "\n" not in str(raised.value)
    assert faces.load(second).label_map is not None  # the others are as good as before


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """ADEChallengeData2016's folders: six photos to train, three to validate, labels in a CSV file of their own."""
    root = tmp_path / "scenes"
    rows = ["id,smiles,age"]
    for split, count in (("training", 6), ("validation", 3)):
        (root / "images" / split).mkdir(parents=True)
        (root / "annotations" / split).mkdir(parents=True)
        for number in range(count):
            name, seed = f"{split}_{number}", number + 10 * len(split)
            Image.fromarray(photo(seed).transpose(1, 2, 0)).save(root / "images" / split / f"{name}.jpg")
            mask = encode_label_map(label_map(seed))
            (root / "annotations" / split / f"{name}.png").write_bytes(mask)
            rows.append(f"{name},{'yes' if number % 2 else 'no'},")
    (root / "labels.csv").write_text("\n".join(rows))
    (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


def test_folders_with_splits_keep_them(scenes: Path) -> None:
    found = source(scenes, masks=scenes / "annotations", validation=0.9)
    items = found.items()
    assert [item.image_id for item in items] == sorted(item.image_id for item in items)
    assert all(item.split == ("train" if item.image_id.startswith("training") else "validation") for item in items)
    assert Counter(item.split for item in items) == {"train": 6, "validation": 3}
    assert all(found.has_mask(item) for item in items)
    last = found.load(items[-1])
    assert last.image == (scenes / "images/validation/validation_2.jpg").read_bytes()
    assert last.label_map is not None and np.array_equal(last.label_map, label_map(102))
    assert found.name == "scenes" and pickle.loads(pickle.dumps(found)).items() == items


def test_a_photo_of_both_splits_is_refused(scenes: Path) -> None:
    (scenes / "images/validation/training_0.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="several images for 'training_0'"):
        source(scenes, masks=scenes / "annotations").items()


def test_folders_with_splits_cannot_be_split_by_label(scenes: Path) -> None:
    with pytest.raises(InputError, match="has a folder for each split, so the labels cannot be split"):
        source(scenes, masks=scenes / "annotations", split_by_label=True).items()


def test_one_split_folder_alone_is_none(scenes: Path) -> None:
    (scenes / "images/validation").rename(scenes / "images/later")
    with pytest.raises(InputError, match="has no image for 'training_0'"):
        source(scenes, masks=scenes / "annotations").items()
