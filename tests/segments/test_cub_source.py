"""CUB-200-2011's folders in small: made photos of five classes."""

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.segments.cub_source import CubSource
from tasks.segments.shards import make_shard, plan_shards
from tasks.segments.store import open_store

NAMES = ["001.Albatross", "002.Auk", "003.Blackbird", "010.Bunting", "020.Cardinal"]
PHOTOS = 4  # of a class
GREYS = (0, 51, 102, 127, 128, 153, 204, 255)


def agreement() -> np.ndarray:
    """What the annotators saw, [6, 8]: a column for each grey."""
    return np.broadcast_to(np.array(GREYS, dtype=np.uint8), (6, 8)).copy()


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    root = tmp_path / "CUB_200_2011"
    images, labels, splits = [], [], []
    for index, name in enumerate(NAMES):
        (root / "images" / name).mkdir(parents=True)
        (root / "segmentations" / name).mkdir(parents=True)
        for number in range(PHOTOS):
            photo, stem = index * PHOTOS + number + 1, f"{name[4:]}_{number:04d}_{index}"
            pixels = np.random.default_rng(photo).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / name / f"{stem}.jpg")
            Image.fromarray(agreement()).save(root / "segmentations" / name / f"{stem}.png")
            images.append(f"{photo} {name}/{stem}.jpg")
            labels.append(f"{photo} {index + 1}")
            splits.append(f"{photo} {number % 2}")
    # Neither the rows of the photos nor those of the classes need be in order.
    (root / "images.txt").write_text("\n".join(reversed(images)) + "\n")
    (root / "image_class_labels.txt").write_text("\n".join(labels) + "\n")
    classes = [f"{index + 1} {name}" for index, name in enumerate(NAMES)]
    (root / "classes.txt").write_text("\n".join(reversed(classes)) + "\n")
    (root / "train_test_split.txt").write_text("\n".join(splits) + "\n")
    return root


def test_the_first_half_of_the_classes_trains_and_the_second_validates(birds: Path) -> None:
    items = CubSource(folder=birds).items()
    assert Counter((item.label, item.split) for item in items) == {
        **{(name, "train"): PHOTOS for name in NAMES[:2]},
        **{(name, "validation"): PHOTOS for name in NAMES[2:]},
    }
    assert [item.image_id for item in items] == sorted(item.image_id for item in items)
    assert all(item.image_id.startswith(item.label[4:]) for item in items)


def test_classes_are_halved_by_their_number_not_by_their_text(birds: Path) -> None:
    for name in ("classes.txt", "image_class_labels.txt"):
        text = (birds / name).read_text()
        (birds / name).write_text(text.replace("2 002.", "12 002.").replace(" 2\n", " 12\n"))
    items = CubSource(folder=birds).items()
    assert {item.label for item in items if item.split == "train"} == {"001.Albatross", "003.Blackbird"}


def test_or_the_file_s_own_split(birds: Path) -> None:
    items = CubSource(folder=birds, by_class=False).items()
    assert {item.split for item in items if "_0001_" in item.image_id} == {"train"}
    assert Counter((item.label, item.split) for item in items) == {
        (name, split): PHOTOS // 2 for name in NAMES for split in ("train", "validation")
    }


def test_the_halves_need_no_split_file(birds: Path) -> None:
    (birds / "train_test_split.txt").unlink()
    assert len(CubSource(folder=birds).items()) == PHOTOS * len(NAMES)
    with pytest.raises(InputError, match=r"train_test_split\.txt is missing"):
        CubSource(folder=birds, by_class=False).items()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_the_bird_is_where_most_annotators_saw_it(birds: Path, mode: str) -> None:
    source = CubSource(folder=birds)
    item = source.items()[0]
    mask = birds / "segmentations" / item.label / f"{item.image_id}.png"
    Image.fromarray(agreement()).convert(mode).save(mask)
    photo = source.load(item)
    expected = [[int(grey > 127) for grey in GREYS]] * 6
    assert photo.label_map is not None and photo.label_map.dtype == np.uint8
    assert photo.label_map.tolist() == expected == [[0, 0, 0, 0, 1, 1, 1, 1]] * 6
    assert photo.image == (birds / "images" / item.label / f"{item.image_id}.jpg").read_bytes()
    assert photo.path == f"{item.image_id}.jpg"
    assert source.classes() == {0: "background", 1: "bird"}


def test_segmentations_may_lie_beside_the_folder_or_be_missing(birds: Path) -> None:
    (birds / "segmentations").rename(birds.parent / "segmentations")
    beside = CubSource(folder=birds)
    assert all(beside.has_mask(item) for item in beside.items()) and beside.classes()
    (birds.parent / "segmentations").rename(birds.parent / "elsewhere")
    bare = CubSource(folder=birds)
    assert bare.classes() == {} and not any(bare.has_mask(item) for item in bare.items())
    assert bare.load(bare.items()[0]).label_map is None


def test_a_photo_without_a_segmentation_is_left_to_the_segmenter(birds: Path) -> None:
    source = CubSource(folder=birds)
    first, second = source.items()[:2]
    (birds / "segmentations" / first.label / f"{first.image_id}.png").unlink()
    assert (source.has_mask(first), source.has_mask(second)) == (False, True)
    assert source.load(first).label_map is None


def test_the_fingerprint_follows_photo_and_segmentation(birds: Path) -> None:
    def prints() -> dict[str, str]:
        return {item.image_id: item.fingerprint for item in CubSource(folder=birds).items()}

    before = prints()
    (birds / "images/002.Auk/Auk_0001_1.jpg").write_bytes(b"longer than it was" * 100)
    (birds / "segmentations/001.Albatross/Albatross_0000_0.png").write_bytes(b"shorter")
    assert {name for name, value in prints().items() if value != before[name]} == {"Auk_0001_1", "Albatross_0000_0"}


def test_a_limit_keeps_the_proportions(birds: Path) -> None:
    items = CubSource(folder=birds, limit=10).items()
    assert Counter(item.label for item in items) == dict.fromkeys(NAMES, 2)


def test_a_store_is_made_of_it(birds: Path, tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(CubSource(folder=birds)))
    for plan in plan_shards(source, source.classes(), None):
        make_shard(source, plan, tmp_path / "store", source.classes(), None, {})
    store = open_store(tmp_path / "store")
    assert (store.rows("train"), store.rows("validation"), store.source) == (8, 12, "cub-200-2011")
    row = next(store.iterate("train"))
    assert [(part["name"], part["area"]) for part in row.segments] == [("background", 24), ("bird", 24)]


def rewrite(root: Path, name: str, old: str, new: str) -> None:
    (root / name).write_text((root / name).read_text().replace(old, new))


WRONG: dict[str, Callable[[Path], Any]] = {
    r"images\.txt is missing: give the folder that CUB_200_2011\.tgz unpacks to": lambda root: (
        root / "images.txt"
    ).unlink(),
    r"classes\.txt cannot be read": lambda root: (root / "classes.txt").write_bytes(b"1 \xff\xfe\n"),
    r"classes\.txt has the line '3': expected a number and a value": lambda root: rewrite(
        root, "classes.txt", "3 003.Blackbird", "3"
    ),
    r"classes\.txt has a number twice": lambda root: rewrite(root, "classes.txt", "3 003", "1 003"),
    r"classes\.txt has no class '3', '3', '3', \.\.\. \(4 in all\)": lambda root: rewrite(
        root, "classes.txt", "3 003", "33 003"
    ),
    r"classes\.txt numbers a class 'x': expected a whole number": lambda root: (
        rewrite(root, "classes.txt", "3 003", "x 003") or rewrite(root, "image_class_labels.txt", " 3\n", " x\n")
    ),
    r"image_class_labels\.txt has no line for photo '7' of": lambda root: rewrite(
        root, "image_class_labels.txt", "\n7 2", ""
    ),
    r"has no photo '002\.Auk/Auk_0000_1\.jpg' of images\.txt": lambda root: (
        root / "images/002.Auk/Auk_0000_1.jpg"
    ).unlink(),
    r"images\.txt names '\.\./002\.Auk/Auk_0000_1\.jpg', which is not below": lambda root: rewrite(
        root, "images.txt", "002.Auk/Auk_0000_1", "../002.Auk/Auk_0000_1"
    ),
    r"images\.txt names '/etc/passwd', which is not below": lambda root: rewrite(
        root, "images.txt", "002.Auk/Auk_0000_1.jpg", "/etc/passwd"
    ),
    "'Auk_0000_1' more than once": lambda root: rewrite(root, "images.txt", "Auk_0001_1.jpg", "Auk_0000_1.jpg"),
    "has no segmentation of any photo": lambda root: [
        path.unlink() for path in (root / "segmentations").rglob("*.png")
    ],
}


@pytest.mark.parametrize("message", WRONG)
def test_a_folder_that_is_not_as_described_is_refused_in_one_line(birds: Path, message: str) -> None:
    WRONG[message](birds)
    with pytest.raises(InputError, match=message) as raised:
        CubSource(folder=birds).items()
    assert "\n" not in str(raised.value)


def test_a_split_file_that_is_not_as_described_is_refused(birds: Path) -> None:
    rewrite(birds, "train_test_split.txt", "\n6 1", "")
    with pytest.raises(InputError, match=r"train_test_split\.txt has no line for photo '6'"):
        CubSource(folder=birds, by_class=False).items()
    rewrite(birds, "train_test_split.txt", "\n7 0", "\n6 1\n7 2")
    with pytest.raises(InputError, match=r"train_test_split\.txt says '2' of a photo: expected 1 or 0"):
        CubSource(folder=birds, by_class=False).items()


def test_broken_files_are_named(birds: Path) -> None:
    source = CubSource(folder=birds)
    item = source.items()[0]
    mask = birds / "segmentations" / item.label / f"{item.image_id}.png"
    Image.fromarray(agreement()[:, :5]).save(mask)
    with pytest.raises(InputError, match=r"Albatross_0000_0\.png is 5 x 6 pixels, its photo 8 x 6"):
        source.load(item)
    mask.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"Albatross_0000_0\.png cannot be read"):
        source.load(item)
    (birds / "images" / item.label / f"{item.image_id}.jpg").unlink()
    with pytest.raises(InputError, match=r"Albatross_0000_0\.jpg cannot be read \(No such file"):
        source.load(item)
