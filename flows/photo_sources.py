"""Where photos come from, as parameters: pydantic models, so that Prefect's UI draws a form for each."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from flows.form_schema import Described, Parameters
from tasks.errors import InputError
from tasks.segments.cub_source import CubSource
from tasks.segments.dataset_source import DatasetSource
from tasks.segments.dominant_label import LEAST_PHOTOS, DominantLabel
from tasks.segments.folder_source import FolderSource
from tasks.segments.hidden_masks import HiddenMasks
from tasks.segments.portraits import PARTS, PortraitSource, PortraitSpec
from tasks.segments.segment_label import SegmentLabel
from tasks.segments.source import Source

KIND = Field(description="tells this source from the others")


class Portraits(Parameters):
    """The embedded, synthetic portraits."""

    kind: Annotated[Literal["portraits"], KIND] = "portraits"
    spec: Annotated[PortraitSpec, Described(choices={"cause": PARTS})] = PortraitSpec()
    known_masks: Annotated[int | None, Field(description="keep the masks of so many; segment the others")] = None

    def source(self) -> Source:
        """The source of photos."""
        portraits = PortraitSource(self.spec)
        return portraits if self.known_masks is None else HiddenMasks(portraits, self.known_masks)


class Labelled(Parameters):
    """What photos from outside share: a label from a column or from the masks, and how they are split."""

    label: str | None = Field(None, description="the column of the label; by default `label`")
    label_segment: str | None = Field(
        None, description="instead of a column: the label is whether a photo has this segment; each mask is read for it"
    )
    label_share: float = Field(
        0.0, ge=0, lt=1, description="least share of the photo's pixels that makes the segment count; 0: any pixel"
    )
    group: str | None = Field(None, description="the column of a protected attribute")
    classes: Path | None = Field(
        None,
        description="classes.json (class id to name), ADE20K's objectInfo150.txt, or a tree preset's table by name",
    )
    validation: float = Field(0.2, gt=0, lt=1, description="share of the validation split, where the photos have none")
    limit: int | None = Field(None, gt=0, description="take so many photos only, stratified by label")
    seed: int = Field(0, description="of the split and the sample")

    def shared_fields(self) -> dict[str, Any]:
        """What every source of labelled photos takes.

        Raises:
            InputError: both a column and a segment are to be the label, or a share is given without a segment.
        """
        label: str | SegmentLabel = self.label or "label"
        if self.label_segment is not None:
            if self.label is not None:
                raise InputError(
                    f"the label is either the column {self.label!r} or the segment {self.label_segment!r}: give one"
                )
            label = SegmentLabel(segment=self.label_segment, share=self.label_share)
        elif self.label_share:
            raise InputError(f"the label's share {self.label_share} is that of a segment: name the segment too")
        shared = self.model_dump(include={"group", "validation", "limit", "seed"})
        return {"label": label, "class_names": self.classes, **shared}


class Folder(Labelled):
    """A folder of photos, with or without masks."""

    form_first: ClassVar = ("images", "masks", "classes", "labels")
    kind: Annotated[Literal["folder"], KIND] = "folder"
    images: Path = Field(description="photos, or the sub-folders training and validation of photos")
    labels: Path | None = Field(
        None, description="a CSV file with a column `id` (the photo's file name without its ending)"
    )
    masks: Path | None = Field(None, description="PNG files, one byte a pixel: the class id")
    label_dominant: bool = Field(
        False, description="instead of a column: the label is the class with the most pixels; each mask is read for it"
    )
    not_labels: tuple[str, ...] | None = Field(
        None, description="classes that are no such label; by default void, unknown, background and their like"
    )
    least_photos: int | None = Field(
        None, ge=2, description=f"photos of such a label with fewer are left out; by default {LEAST_PHOTOS}"
    )
    split_by_label: bool = Field(
        False, description="whole labels go to one split, `validation` of them to validation: few-shot's novel classes"
    )

    def source(self) -> Source:
        """The source of photos."""
        own = self.model_dump(include={"images", "labels", "masks", "split_by_label"})
        return FolderSource(**own, **{**self.shared_fields(), "label": self._label()})

    def _label(self) -> str | SegmentLabel | DominantLabel:
        label: str | SegmentLabel = self.shared_fields()["label"]
        given = {"excluded": self.not_labels, "least_photos": self.least_photos}
        asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if not self.label_dominant:
            if asked:
                raise InputError(
                    "classes that are no label, and the fewest photos of one, are asked for where the label is the "
                    "class with the most pixels: ask for that label too"
                )
            return label
        if self.label is not None or self.label_segment is not None:
            raise InputError(
                f"the label is either {self.label or self.label_segment!r} or the class with the most pixels: give one"
            )
        return DominantLabel(**asked)


class Dataset(Labelled):
    """A data set of the Hugging Face hub, or a local Parquet file of the same layout."""

    form_first: ClassVar = ("name", "subset", "revision", "image", "mask", "classes")
    kind: Annotated[Literal["dataset"], KIND] = "dataset"
    name: str = Field(description="on the hub, or the Parquet file")
    subset: str | None = Field(None, description="its configuration on the hub, such as scene_parsing")
    revision: str | None = Field(None, description="its branch, tag or commit on the hub")
    image: str = Field("image", description="the column of the photos")
    mask: str | None = Field(None, description="the column of the masks; without it a segmenter is needed")

    def source(self) -> Source:
        """The source of photos."""
        columns = self.model_dump(include={"subset", "revision", "image", "mask"})
        return DatasetSource(dataset=self.name, **columns, **self.shared_fields())


class Cub(Parameters):
    """Caltech-UCSD Birds-200-2011 as it is unpacked."""

    kind: Annotated[Literal["cub"], KIND] = "cub"
    folder: Path = Field(description="with images.txt, and segmentations in it or beside it")
    by_class: bool = Field(True, description="the first half of the classes trains, the second validates")
    limit: int | None = Field(None, gt=0, description="take so many photos only, stratified by label")
    seed: int = Field(0, description="of the sample")

    def source(self) -> Source:
        """The source of photos."""
        return CubSource(**self.model_dump(exclude={"kind"}))
