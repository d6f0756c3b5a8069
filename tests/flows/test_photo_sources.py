"""Forms of photos from outside: where the label comes from."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.parameters import PrepareParameters
from flows.photo_sources import Cub, Dataset, Folder
from tasks.errors import InputError
from tasks.segments.cub_source import CubSource
from tasks.segments.dataset_source import DatasetSource
from tasks.segments.dominant_label import DominantLabel
from tasks.segments.folder_source import FolderSource
from tasks.segments.segment_label import SegmentLabel

IMAGES = Path("images")


def test_a_segment_may_be_the_label() -> None:
    fields: dict[str, Any] = {"label_segment": "Dress", "label_share": 0.005, "classes": Path("human-parsing")}
    label = SegmentLabel(segment="Dress", share=0.005)
    assert Folder(images=IMAGES, masks=Path("masks"), limit=9, **fields).source() == FolderSource(
        images=IMAGES, masks=Path("masks"), class_names=Path("human-parsing"), label=label, limit=9
    )
    hub = Dataset(
        name="zhoubolei/scene_parse_150", subset="scene_parsing", revision="main", mask="annotation", **fields
    )
    assert hub.source() == DatasetSource(
        dataset="zhoubolei/scene_parse_150",
        subset="scene_parsing",
        revision="main",
        mask="annotation",
        class_names=Path("human-parsing"),
        label=label,
    )


def test_the_label_is_a_column_else() -> None:
    named = Folder(images=IMAGES, labels=Path("labels.csv"), label="smiles", group="age", validation=0.3, seed=4)
    assert named.source() == FolderSource(
        images=IMAGES, labels=Path("labels.csv"), label="smiles", group="age", validation=0.3, seed=4
    )
    assert Dataset(name="faces").source() == DatasetSource(dataset="faces", label="label")


def test_the_class_with_the_most_pixels_may_be_the_label() -> None:
    fields: dict[str, Any] = {"images": IMAGES, "masks": Path("masks"), "classes": Path("c.json")}
    source: dict[str, Any] = {"images": IMAGES, "masks": Path("masks"), "class_names": Path("c.json")}
    assert Folder(label_dominant=True, **fields).source() == FolderSource(label=DominantLabel(), **source)
    named = Folder(label_dominant=True, not_labels=("sky", "sea"), least_photos=4, split_by_label=True, **fields)
    label = DominantLabel(excluded=("sky", "sea"), least_photos=4)
    assert named.source() == FolderSource(label=label, split_by_label=True, **source)


def test_cub_s_folder_is_a_source() -> None:
    assert Cub(folder=Path("cub")).source() == CubSource(folder=Path("cub"))
    photos = {"kind": "cub", "folder": "cub", "by_class": False, "limit": 40, "seed": 3}
    parameters = PrepareParameters.model_validate({"photos": photos, "out": "store"})
    assert parameters.photos.source() == CubSource(folder=Path("cub"), by_class=False, limit=40, seed=3)


def test_labels_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="either the column 'smiles' or the segment 'hat': give one"):
        Folder(images=IMAGES, label="smiles", label_segment="hat").source()
    with pytest.raises(InputError, match=r"share 0\.1 is that of a segment: name the segment too"):
        Dataset(name="faces", label_share=0.1).source()
    for other in ({"label": "smiles"}, {"label_segment": "hat"}):
        with pytest.raises(InputError, match=r"either '(smiles|hat)' or the class with the most pixels: give one"):
            Folder(images=IMAGES, label_dominant=True, **other).source()
    for alone in ({"not_labels": ("sky",)}, {"least_photos": 5}):
        with pytest.raises(InputError, match="where the label is the class with the most pixels: ask for that label"):
            Folder(images=IMAGES, **alone).source()
    with pytest.raises(ValidationError, match="least_photos"):
        Folder(images=IMAGES, label_dominant=True, least_photos=1)
    with pytest.raises(ValidationError, match="label_share"):
        Dataset(name="faces", label_segment="hat", label_share=1.0)
