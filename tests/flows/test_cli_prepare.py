"""Photos labelled by what there is most of, split by label, and CUB-200-2011's folders, at the command line."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.store import open_store
from tests.flows.command_line import Heml

NAMES = ("void", "grass", "sky", "road", "water", "cow")


def scenes(root: Path) -> list[str]:
    """Of each class but void 3 photos that it fills for the most part; of the last one 2."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for number in range(14):
        label_map = np.zeros((16, 16), dtype=np.uint8)
        label_map[:7] = 1 + number // 3
        image = np.random.default_rng(number).integers(0, 256, (3, 16, 16), dtype=np.uint8)
        (root / f"images/{number:02d}.png").write_bytes(encode_image(image))
        (root / f"masks/{number:02d}.png").write_bytes(encode_label_map(label_map))
    (root / "classes.json").write_text(json.dumps(NAMES))
    return [
        *("prepare", "--images", str(root / "images"), "--masks", str(root / "masks")),
        *("--classes", str(root / "classes.json"), "--label-dominant"),
    ]


@pytest.mark.server
def test_prepare_labels_by_what_there_is_most_of_and_splits_the_labels(heml: Heml, tmp_path: Path) -> None:
    prepare = scenes(tmp_path / "data")
    run = (*prepare, "--least-photos", 3, "--split-by-label", "--val", 0.5, "--out", tmp_path / "store")
    done = heml(*run).done()
    assert "reading every mask once: the label is the class with the most pixels" in done.out
    assert "left out 2 photos, of labels with fewer than 3: cow 2" in done.out
    store = open_store(tmp_path / "store")
    train, validation = (Counter(store.columns(split, ["label"])["label"]) for split in ("train", "validation"))
    assert len(train) == len(validation) == 2 and not train & validation
    assert train + validation == dict.fromkeys(NAMES[1:5], 3)

    heml(*prepare, "--out", tmp_path / "other").refused("in 10 photos of data", "grass in 3")
    heml(*run, "--not-label", "hill").refused("no segment 'hill' to leave out", "void, grass, sky")
    heml(*run, "--least-photos", 0).refused("least_photos", "greater than or equal to 2")


@pytest.mark.server
def test_prepare_takes_cub_s_folder(heml: Heml, tmp_path: Path) -> None:
    root, photos = tmp_path / "CUB_200_2011", []
    classes = [f"{number:03d}.Bird" for number in range(1, 5)]
    for name in classes:
        for part in ("images", "segmentations"):
            (root / part / name).mkdir(parents=True)
        for number in range(3):
            photos.append(f"{name}/Bird_{name[:3]}_{number}")
            pixels = np.random.default_rng(len(photos)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"images/{photos[-1]}.jpg")
            Image.fromarray(pixels[..., 0]).save(root / f"segmentations/{photos[-1]}.png")
    (root / "images.txt").write_text("".join(f"{i} {path}.jpg\n" for i, path in enumerate(photos)))
    (root / "image_class_labels.txt").write_text("".join(f"{i} {int(path[:3])}\n" for i, path in enumerate(photos)))
    (root / "classes.txt").write_text("".join(f"{int(name[:3])} {name}\n" for name in classes))
    (root / "train_test_split.txt").write_text("".join(f"{i} {int(i % 3 > 0)}\n" for i in range(len(photos))))
    done = heml("prepare", "--cub", root, "--out", tmp_path / "halves").done()
    store = open_store(tmp_path / "halves")
    assert set(store.columns("train", ["label"])["label"]) == set(classes[:2])
    done = heml("prepare", "--cub", root, "--own-split", "--out", tmp_path / "own").done()
    assert "8 training and 4 validation images" in done.out, done.err
    heml("prepare", "--cub", root, "--label-dominant", "--out", tmp_path / "x").refused(
        "cub.label_dominant", "not permitted"
    )


def test_cub_is_a_source_of_its_own(heml: Heml, tmp_path: Path) -> None:
    run = ("prepare", "--cub", tmp_path, "--images", tmp_path, "--out", tmp_path / "store")
    heml(*run).refused("one source of photos", "--cub FOLDER")


@pytest.mark.server
@pytest.mark.parametrize(
    ("source", "asked"), [("--portraits", "--label-dominant"), ("--portraits", "--label"), ("--cub", "--group")]
)
def test_what_a_source_does_not_take_is_refused(heml: Heml, tmp_path: Path, source: str, asked: str) -> None:
    value = [] if asked == "--label-dominant" else ["x"]
    given = "40" if source == "--portraits" else str(tmp_path)
    done = heml("prepare", source, given, asked, *value, "--out", tmp_path / "store")
    done.refused(asked.removeprefix("--").replace("-", "_"))


@pytest.mark.server
def test_a_segmenter_to_train_on_has_to_be_there(heml: Heml, tmp_path: Path) -> None:
    run = (*scenes(tmp_path / "data"), "--least-photos", 2, "--out", tmp_path / "store")
    heml(*run, "--segmenter", tmp_path / "nowhere", "--fit-segmenter").refused(str(tmp_path / "nowhere"))


@pytest.mark.server
def test_a_segmenter_is_trained_once(heml: Heml, tmp_path: Path) -> None:
    drawn = ("prepare", "--portraits", 24, "--known-masks", 10, "--out", tmp_path / "store")
    for trained in (True, False):
        said = heml(*drawn, "--fit-segmenter", "--segmenter-epochs", 1).done().out
        assert ("training a SegFormer on the photos that have masks" in said) is trained
        assert "segmenter: mean IoU 0." in said
