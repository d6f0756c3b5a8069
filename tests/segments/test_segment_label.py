"""The three studies' layouts in small, labelled by a segment of their masks."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tasks.segments.folder_source as folder_module
from tasks.errors import InputError
from tasks.segments.dataset_source import DatasetSource
from tasks.segments.folder_source import FolderSource
from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.segment_label import SegmentLabel

datasets = pytest.importorskip("datasets")

DRESS, BUILDING = 7, 2  # ATR's and ADE20K's class ids
HEIGHT, WIDTH = 10, 20


@pytest.fixture(autouse=True)
def no_shared_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def photo(number: int) -> bytes:
    return encode_image(np.random.default_rng(number).integers(0, 256, (3, HEIGHT, WIDTH), dtype=np.uint8))


def mask(class_id: int, pixels: int) -> bytes:
    """A label map of 200 pixels, of which so many have the class and the others another one."""
    label_map = np.full(HEIGHT * WIDTH, 1, dtype=np.uint8)
    label_map[:pixels] = class_id
    return encode_label_map(label_map.reshape(HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("pixels", "share", "present"),
    [(0, 0.0, False), (1, 0.0, True), (1, 0.005, True), (1, 0.006, False), (14, 0.07, True), (200, 0.99, True)],
)
def test_a_segment_counts_from_its_share_on(pixels: int, share: float, present: bool) -> None:
    label_map = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    label_map.ravel()[:pixels] = DRESS
    label = SegmentLabel(segment="Dress", share=share)
    assert label.of(label_map, DRESS) == ("Dress" if present else "no Dress")


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="0 or more and below 1"):
        SegmentLabel(segment="Dress", share=share)


def write(path: Path, masks: list[bytes | None], column: str = "mask") -> Path:
    columns = {
        "image": [{"bytes": photo(number), "path": None} for number in range(len(masks))],
        column: [{"bytes": data, "path": None} if data is not None else None for data in masks],
    }
    features = datasets.Features({name: datasets.Image() for name in columns})
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)
    return path


def human_parsing(path: Path, masks: list[bytes | None], **changes: Any) -> DatasetSource:
    """The layout of the hub's `mattmdjaga/human_parsing_dataset`: one split, no labels, no class names."""
    settings = {"dataset": str(write(path, masks)), "mask": "mask", "class_names": Path("human-parsing")}
    return DatasetSource(**{"label": SegmentLabel(segment="Dress"), **settings, **changes})


def test_human_parsing_is_labelled_split_and_sampled_by_the_dress(tmp_path: Path) -> None:
    masks: list[bytes | None] = [mask(DRESS, 20 if number < 5 else 0) for number in range(20)]
    found = human_parsing(tmp_path / "train.parquet", masks)
    items = found.items()
    assert [item.label for item in items] == ["Dress"] * 5 + ["no Dress"] * 15
    assert Counter((item.label, item.split) for item in items) == {
        ("Dress", "train"): 4,
        ("Dress", "validation"): 1,
        ("no Dress", "train"): 12,
        ("no Dress", "validation"): 3,
    }
    sample = human_parsing(tmp_path / "train.parquet", masks, limit=8).items()
    assert Counter(item.label for item in sample) == {"Dress": 2, "no Dress": 6}
    assert found.classes()[DRESS] == "Dress"
    loaded = found.load(items[0])
    assert loaded.label_map is not None and np.count_nonzero(loaded.label_map == DRESS) == 20


def scene_parsing(root: Path, **changes: Any) -> DatasetSource:
    """The layout of the hub's `scene_parse_150`: three splits, of which the last has no masks."""
    for split, count in (("train", 6), ("validation", 4)):
        masks: list[bytes | None] = [mask(BUILDING, 3 * (number % 2)) for number in range(count)]
        write(root / f"scene_parsing/{split}-00000-of-00001.parquet", masks, "annotation")
    write(root / "scene_parsing/test-00000-of-00001.parquet", [None, None], "annotation")
    settings: dict[str, Any] = {"dataset": str(root), "mask": "annotation", "class_names": Path("sceneparse150")}
    return DatasetSource(**{"label": SegmentLabel(segment="building"), **settings, **changes})


def test_scene_parsing_keeps_its_splits(tmp_path: Path) -> None:
    items = scene_parsing(tmp_path / "scenes").items()
    assert Counter((item.label, item.split) for item in items) == {
        ("building", "train"): 3,
        ("building", "validation"): 2,
        ("no building", "train"): 3,
        ("no building", "validation"): 2,
    }


def ade_folders(root: Path, **changes: Any) -> FolderSource:
    """ADEChallengeData2016: a folder for each split, and a table of classes with synonyms."""
    for split, count in (("training", 6), ("validation", 4)):
        for part in ("images", "annotations"):
            (root / part / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            name = f"ADE_{split}_{number}"
            (root / "images" / split / f"{name}.png").write_bytes(photo(number))
            (root / "annotations" / split / f"{name}.png").write_bytes(mask(BUILDING, 3 * (number % 2)))
    (root / "objectInfo150.txt").write_text("Idx\tStuff\tName\n1\t1\twall\n2\t1\tbuilding, edifice\n")
    settings = {
        "images": root / "images",
        "masks": root / "annotations",
        "class_names": root / "objectInfo150.txt",
        "label": SegmentLabel(segment="building"),
    }
    return FolderSource(**{**settings, **changes})


def test_ade_folders_need_no_labels_file(tmp_path: Path) -> None:
    scenes = ade_folders(tmp_path)
    items = scenes.items()
    assert len(items) == 10
    for item in items:
        number = int(item.image_id[-1])
        assert item.label == ("building" if number % 2 else "no building")
        assert item.split == ("train" if "training" in item.image_id else "validation")
    assert scenes.classes() == {0: "other", 1: "wall", 2: "building"}
    assert len(ade_folders(tmp_path, limit=4).items()) == 4


def test_a_labels_file_still_chooses_photos_and_gives_the_group(tmp_path: Path) -> None:
    rows = [f"ADE_training_{number},{'day' if number < 3 else 'night'}" for number in range(4)]
    (tmp_path / "labels.csv").write_text("id,light\n" + "\n".join(rows))
    items = ade_folders(tmp_path, labels=tmp_path / "labels.csv", group="light").items()
    assert [item.group for item in items] == ["day", "day", "day", "night"]
    assert [item.label for item in items] == ["no building", "building"] * 2


def test_masks_are_read_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counting(data: bytes, name: str) -> np.ndarray:
        read.append(name)
        return decode(data, name)

    decode = folder_module.decode_label_map
    monkeypatch.setattr(folder_module, "decode_label_map", counting)
    scenes = ade_folders(tmp_path)
    assert scenes.items() == scenes.items() and len(read) == 10
    (tmp_path / "annotations/training/ADE_training_0.png").write_bytes(mask(BUILDING, 100))
    assert scenes.items()[0].label == "building" and len(read) == 20


WRONG: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "have no segment 'castle': they have other, wall, building": (
        ade_folders,
        {"label": SegmentLabel(segment="castle")},
    ),
    "'building' is to be read from masks, and .* comes without": (ade_folders, {"masks": None}),
    "has one label only, 'no building'": (ade_folders, {"label": SegmentLabel(segment="building", share=0.5)}),
    "the group 'light' is a column of labels.csv": (ade_folders, {"group": "light"}),
    "have no segment 'castle': they have other, wall, building, sky": (
        scene_parsing,
        {"label": SegmentLabel(segment="castle")},
    ),
    "'building' is to be read from masks, and scenes comes without": (scene_parsing, {"mask": None}),
    "has one label only, 'no flag'": (scene_parsing, {"label": SegmentLabel(segment="flag")}),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_description_is_refused_in_one_line(tmp_path: Path, message: str) -> None:
    layout, changes = WRONG[message]
    with pytest.raises(InputError, match=message) as raised:
        layout(tmp_path / "scenes", **changes).items()
    assert "\n" not in str(raised.value)


def test_a_photo_without_a_mask_is_named(tmp_path: Path) -> None:
    scenes = ade_folders(tmp_path / "scenes")
    (tmp_path / "scenes/annotations/validation/ADE_validation_1.png").unlink()
    with pytest.raises(InputError, match="no mask for 'ADE_validation_1', so whether they have the segment 'building'"):
        scenes.items()
    masks = [mask(DRESS, number % 2) for number in range(4)]
    with pytest.raises(InputError, match="no mask for '0000004'"):
        human_parsing(tmp_path / "train.parquet", [*masks, None]).items()


def test_a_broken_mask_is_named(tmp_path: Path) -> None:
    scenes = ade_folders(tmp_path)
    (tmp_path / "annotations/training/ADE_training_3.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"ADE_training_3\.png cannot be read"):
        scenes.items()


def test_class_names_of_a_file_serve_as_well(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({1: "wall", DRESS: "gown"}))
    masks: list[bytes | None] = [mask(DRESS, number % 2) for number in range(4)]
    gowns = SegmentLabel(segment="gown")
    found = human_parsing(tmp_path / "train.parquet", masks, class_names=tmp_path / "classes.json", label=gowns)
    assert Counter(item.label for item in found.items()) == {"gown": 2, "no gown": 2}
