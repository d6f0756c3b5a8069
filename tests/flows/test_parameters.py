"""Forms of photos from outside: where the label comes from."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.parameters import Dataset, Folder
from tasks.errors import InputError
from tasks.segments.dataset_source import DatasetSource
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


def test_labels_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="either the column 'smiles' or the segment 'hat': give one"):
        Folder(images=IMAGES, label="smiles", label_segment="hat").source()
    with pytest.raises(InputError, match=r"share 0\.1 is that of a segment: name the segment too"):
        Dataset(name="faces", label_share=0.1).source()
    with pytest.raises(ValidationError, match="label_share"):
        Dataset(name="faces", label_segment="hat", label_share=1.0)
