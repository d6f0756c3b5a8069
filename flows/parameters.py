"""Parameters of the flows: pydantic models, so that Prefect's UI draws a form for each."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.metric.decision import DecisionChoice
from tasks.metric.options import TrainingOptions
from tasks.segments.dataset_source import DatasetSource
from tasks.segments.folder_source import FolderSource
from tasks.segments.hidden_masks import HiddenMasks
from tasks.segments.portraits import PortraitSource, PortraitSpec
from tasks.segments.source import Source


class Parameters(BaseModel):
    """What all parameters share: nothing unknown is taken, nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Portraits(Parameters):
    """The embedded, synthetic portraits."""

    kind: Literal["portraits"] = "portraits"
    spec: PortraitSpec = PortraitSpec()
    known_masks: Annotated[int | None, Field(description="keep the masks of so many; segment the others")] = None

    def source(self) -> Source:
        """The source of photos."""
        portraits = PortraitSource(self.spec)
        return portraits if self.known_masks is None else HiddenMasks(portraits, self.known_masks)


class Folder(Parameters):
    """A folder of photos, with or without masks."""

    kind: Literal["folder"] = "folder"
    images: Path
    labels: Path = Field(description="a CSV file with a column `id` (the photo's file name without its ending)")
    label: str = Field(description="the column of the label")
    group: str | None = Field(None, description="the column of a protected attribute")
    masks: Path | None = Field(None, description="PNG files, one byte a pixel: the class id")
    classes: Path | None = Field(None, description="classes.json: class id to name")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the photos in the validation split")
    limit: int | None = Field(None, gt=0, description="take so many photos only, stratified by label")
    seed: int = 0

    def source(self) -> Source:
        """The source of photos."""
        return FolderSource(class_names=self.classes, **self.model_dump(exclude={"kind", "classes"}))


class Dataset(Parameters):
    """A data set of the Hugging Face hub, or a local Parquet file of the same layout."""

    kind: Literal["dataset"] = "dataset"
    name: str
    label: str
    image: str = "image"
    mask: str | None = None
    group: str | None = None
    classes: Path | None = None
    validation: float = Field(0.2, gt=0, lt=1)
    limit: int | None = Field(None, gt=0)
    seed: int = 0

    def source(self) -> Source:
        """The source of photos."""
        fields = self.model_dump(exclude={"kind", "classes", "name"})
        return DatasetSource(dataset=self.name, class_names=self.classes, **fields)


class PrepareParameters(Parameters):
    """Photos to a segment store."""

    photos: Annotated[Portraits | Folder | Dataset, Field(discriminator="kind")] = Portraits()
    out: Path = Field(description="folder of the segment store")
    segmenter: Annotated[str | None, Field(description="a SegFormer by name or folder, for photos without masks")] = (
        None
    )
    fit_segmenter: Annotated[bool, Field(description="train a SegFormer on the photos that have masks")] = False
    segmenter_epochs: Annotated[int, Field(gt=0)] = 20
    segmenter_size: Annotated[int, Field(ge=32, description="longer side that it sees, pixels")] = 128


class TrainParameters(Parameters):
    """A segment store to a trained tree."""

    store: Path
    tree: str = Field("auto", description="a preset, a YAML file, or auto: pairs of the store's classes")
    out: Path | None = Field(None, description="folder of the results; by default under the HEML home")
    options: TrainingOptions = TrainingOptions()
    decision: Annotated[DecisionChoice, Field(description="own: the root's model; composed: the sum of its leaves")] = (
        "auto"
    )


class ExplainParameters(Parameters):
    """Two photos and a trained tree to an explanation."""

    photo_a: Path
    photo_b: Path
    model: str = Field(description="folder of a trained tree, or an MLflow address such as models:/NAME@champion")
    out: Path
    mask_a: Path | None = None
    mask_b: Path | None = None
