from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.explanation.photo_files import segmented_photos
from tasks.segments.pictures import decode_image, decode_label_map, encode_image, encode_label_map


@pytest.fixture
def files(grown: Any, tmp_path: Path) -> tuple[Path, Path]:
    row = next(grown.store.iterate("validation"))
    photo, mask = tmp_path / "a <b>$x$.png", tmp_path / "mask.png"
    photo.write_bytes(row.image)
    mask.write_bytes(row.mask)
    return photo, mask


def test_a_photo_comes_with_its_mask(grown: Any, files: tuple[Path, Path]) -> None:
    photo, mask = files
    found = segmented_photos(grown.trained, [photo], [mask], ["--mask"])[0]
    np.testing.assert_array_equal(found.image, decode_image(photo.read_bytes(), "x"))
    np.testing.assert_array_equal(found.label_map, decode_label_map(mask.read_bytes(), "x"))
    assert (found.name, found.label) == ("a <b>$x$.png", None)


class Halves:
    """A segmenter whose ids are not the tree's: the upper half a badge, the lower one ground."""

    def __init__(self) -> None:
        self.classes = {4: "ground", 6: "badge"}
        self.given: list[int] = []

    def segment(self, images: list[np.ndarray]) -> list[np.ndarray]:
        self.given.append(len(images))
        made = [np.full(image.shape[1:], 4, dtype=np.uint8) for image in images]
        for label_map in made:
            label_map[: len(label_map) // 2] = 6
        return made


def test_missing_masks_are_made_by_the_tree_s_segmenter_with_the_tree_s_ids(
    grown: Any, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, mask = files
    halves = Halves()
    (tmp_path / "model" / "segmenter").mkdir(parents=True)
    loaded = []
    monkeypatch.setattr("tasks.segments.segmenter.load_segmenter", lambda path: loaded.append(path) or halves)
    trained = replace(grown.trained, path=tmp_path / "model")
    found = segmented_photos(trained, [photo, photo, photo], [None, mask, None], ["--mask"])
    segmented_photos(trained, [photo], [None], ["--mask"])
    assert loaded == [str(tmp_path / "model" / "segmenter")]  # once
    assert halves.given == [2, 1]
    for place in (0, 2):
        assert np.unique(found[place].label_map[:24]).tolist() == [2]
        assert np.unique(found[place].label_map[24:]).tolist() == [0]
    np.testing.assert_array_equal(found[1].label_map, decode_label_map(mask.read_bytes(), "x"))


@pytest.mark.parametrize(
    ("ways", "said"), [(["--mask"], "give --mask$"), (["--mask-a", "--mask-b"], "give --mask-a and --mask-b$")]
)
def test_without_mask_and_segmenter_it_says_how_to_give_one(
    grown: Any, files: tuple[Path, Path], ways: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=f"this model has no segmenter: .*; {said}"):
        segmented_photos(grown.trained, [files[0]], [None], ways)


def test_what_does_not_fit_is_refused(grown: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    photo, mask = files

    def refused(photo: Path, mask: Path, said: str) -> None:
        with pytest.raises(InputError, match=said):
            segmented_photos(grown.trained, [photo], [mask], ["--mask"])

    refused(tmp_path / "none.png", mask, r"none\.png cannot be read \(No such file")
    refused(photo, tmp_path / "none.png", r"none\.png cannot be read \(No such file")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    refused(broken, mask, r"broken\.png cannot be read")
    refused(photo, broken, r"broken\.png cannot be read")
    broken.write_bytes(encode_label_map(np.zeros((40, 30), dtype=np.uint8)))
    refused(photo, broken, r"broken\.png is 30 x 40 pixels, its photo 48 x 48")
    broken.write_bytes(encode_label_map(np.full((48, 48), 9, dtype=np.uint8)))
    refused(photo, broken, r"broken\.png has the class id 9, which the model \(0 ground, .*\) lacks")
    broken.write_bytes(encode_image(np.zeros((3, 48, 48), dtype=np.uint8)))
    refused(photo, broken, "not one byte a pixel")
