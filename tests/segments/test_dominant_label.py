import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tasks.segments.folder_source as folder_module
from tasks.errors import InputError
from tasks.segments.dominant_label import NO_CLASS, DominantLabel
from tasks.segments.folder_source import FolderSource
from tasks.segments.pictures import encode_image, encode_label_map

CLASSES = {0: "void", 1: "grass", 2: "cow", 5: "sky", 9: "Background"}
# Pixels of each class, of 200; the label by hand.
PHOTOS = [
    *[({1: 120, 2: 80}, "grass")] * 12,
    *[({0: 150, 2: 30, 1: 20}, "cow")] * 10,
    *[({9: 120, 5: 60, 2: 20}, "sky")] * 3,
    ({0: 100, 9: 100}, None),
]


def mask(pixels: dict[int, int]) -> bytes:
    label_map = np.concatenate([np.full(count, class_id, dtype=np.uint8) for class_id, count in pixels.items()])
    return encode_label_map(label_map.reshape(10, 20))


@pytest.fixture
def meadow(tmp_path: Path) -> Path:
    root = tmp_path / "meadow"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number, (pixels, _) in enumerate(PHOTOS):
        image = np.random.default_rng(number).integers(0, 256, (3, 10, 20), dtype=np.uint8)
        (root / f"images/{number:02d}.png").write_bytes(encode_image(image))
        (root / f"masks/{number:02d}.png").write_bytes(mask(pixels))
    (root / "classes.json").write_text(json.dumps(CLASSES))
    return root


def source(root: Path, **changes: Any) -> FolderSource:
    settings: dict[str, Any] = {
        "images": root / "images",
        "masks": root / "masks",
        "class_names": root / "classes.json",
        "label": DominantLabel(),
    }
    return FolderSource(**settings | changes)


def test_the_class_with_the_most_pixels_is_the_label_and_rare_ones_are_left_out(meadow: Path) -> None:
    found = source(meadow)
    expected = {f"{n:02d}": label for n, (_, label) in enumerate(PHOTOS) if label in ("grass", "cow")}
    assert {item.image_id: item.label for item in found.items()} == expected
    assert found.left_out() == {"sky": 3, NO_CLASS: 1}
    assert Counter((item.label, item.split) for item in found.items()) == {
        ("grass", "train"): 10,
        ("grass", "validation"): 2,
        ("cow", "train"): 8,
        ("cow", "validation"): 2,
    }


def test_fewer_photos_are_enough_if_asked_for(meadow: Path) -> None:
    found = source(meadow, label=DominantLabel(least_photos=3))
    assert Counter(item.label for item in found.items()) == {"grass": 12, "cow": 10, "sky": 3}
    assert found.left_out() == {NO_CLASS: 1}


def test_a_given_list_of_classes_that_are_no_label_replaces_the_names_for_nothing(meadow: Path) -> None:
    found = source(meadow, label=DominantLabel(excluded=("grass", "sky"), least_photos=2))
    # void and Background count now: 12 photos of cow (grass is out), 10 of void, 3 of Background, and one between two.
    assert Counter(item.label for item in found.items()) == {"cow": 12, "void": 11, "Background": 3}
    assert found.left_out() == {}


def test_of_equally_large_classes_the_lowest_id_is_the_label() -> None:
    label_map = np.array([[5, 5, 2, 2, 1, 0, 0, 0]], dtype=np.uint8)
    assert DominantLabel().of(label_map, {5: "sky", 2: "cow", 1: "grass"}) == "cow"
    assert DominantLabel().of(label_map, {7: "sea", 8: "sand"}) is None


def test_a_column_or_a_segment_as_label_leaves_nothing_out(meadow: Path) -> None:
    rows = [f"{number:02d},{number % 2}" for number in range(len(PHOTOS))]
    (meadow / "labels.csv").write_text("id,odd\n" + "\n".join(rows))
    found = source(meadow, labels=meadow / "labels.csv", label="odd")
    assert len(found.items()) == len(PHOTOS) and found.left_out() == {}


def test_masks_are_read_once_and_again_after_a_change(meadow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    decode = folder_module.decode_label_map

    def counting(data: bytes, name: str) -> np.ndarray:
        read.append(name)
        return decode(data, name)

    monkeypatch.setattr(folder_module, "decode_label_map", counting)
    found = source(meadow)
    assert found.items() == found.items() and found.left_out() and len(read) == len(PHOTOS)
    (meadow / "masks/00.png").write_bytes(mask({0: 2, 2: 198}))
    assert found.items()[0].label == "cow" and len(read) == 2 * len(PHOTOS)


WRONG: dict[str, dict[str, Any]] = {
    "have no segment 'cows' to leave out: they have void, grass, cow, sky, Background": {
        "label": DominantLabel(excluded=("grass", "cows"))
    },
    "every class of meadow is left out": {"label": DominantLabel(excluded=tuple(CLASSES.values()))},
    "no class has the most pixels in 20 photos of meadow: it is grass in 12, cow in 10, sky in 3": {
        "label": DominantLabel(least_photos=20)
    },
    "has one label only, 'grass'": {"label": DominantLabel(least_photos=11)},
    "the class with the most pixels is to be read from masks, and meadow comes without": {"masks": None},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_description_is_refused_in_one_line(meadow: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        source(meadow, **WRONG[message]).items()
    assert "\n" not in str(raised.value)


def test_a_photo_without_a_mask_is_named(meadow: Path) -> None:
    (meadow / "masks/03.png").unlink()
    with pytest.raises(InputError, match="no mask for '03', so what there is most of in them is unknown"):
        source(meadow).items()


@pytest.mark.parametrize("least", [1, 0, -3])
def test_a_label_needs_two_photos(least: int) -> None:
    with pytest.raises(InputError, match=f"at least 2 photos, one for each split; got {least}"):
        DominantLabel(least_photos=least)
