"""Parameters of the flows: pydantic models, so that Prefect's UI draws a form for each."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from flows.form_schema import Described, Parameters, by_any_of
from tasks.errors import InputError
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.pair_table import PairRow, read_pair_table
from tasks.metric.decision import DecisionChoice
from tasks.metric.losses import LOSSES
from tasks.metric.options import TrainingOptions
from tasks.segments.cub_source import CubSource
from tasks.segments.dataset_source import DatasetSource
from tasks.segments.dominant_label import LEAST_PHOTOS, DominantLabel
from tasks.segments.folder_source import FolderSource
from tasks.segments.hidden_masks import HiddenMasks
from tasks.segments.portraits import PARTS, PortraitSource, PortraitSpec
from tasks.segments.segment_label import SegmentLabel
from tasks.segments.source import Source

KIND = Field(description="tells this source from the others")
# Device and threads are settings of the machine that trains: HEML_DEVICE, HEML_THREADS.
OptionsForm = Annotated[TrainingOptions, Described(choices={"loss": tuple(LOSSES)}, hidden=("device", "threads"))]


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


class PrepareParameters(Parameters):
    """Photos to a segment store."""

    photos: Annotated[
        Portraits | Folder | Dataset | Cub,
        Field(discriminator="kind", description="where the photos come from", json_schema_extra=by_any_of),
    ] = Portraits()
    out: Path = Field(description="folder of the segment store")
    segmenter: Annotated[str | None, Field(description="a SegFormer by name or folder, for photos without masks")] = (
        None
    )
    fit_segmenter: Annotated[bool, Field(description="train a SegFormer on the photos that have masks")] = False
    segmenter_epochs: Annotated[int, Field(gt=0, description="passes over those photos")] = 20
    segmenter_size: Annotated[int, Field(ge=32, description="longer side that it sees, pixels")] = 128


class TrainParameters(Parameters):
    """A segment store to a trained tree."""

    store: Path = Field(description="a segment store")
    tree: str = Field("auto", description="a preset, a YAML file, or auto: pairs of the store's classes")
    out: Path | None = Field(None, description="folder of the results; by default under the HEML home")
    controls: Annotated[bool, Field(description="train also what each leaf's shape, and the background, say alone")] = (
        False
    )
    register_model: Annotated[bool, Field(description="register the trained tree as a version of its model")] = True
    decision: Annotated[DecisionChoice, Field(description="own: the root's model; composed: the sum of its leaves")] = (
        "auto"
    )
    options: OptionsForm = TrainingOptions()

    @property
    def tree_name(self) -> str:
        """What the run is called by: a YAML file's name without its folders."""
        return Path(self.tree).stem


class ReproduceParameters(Parameters):
    """A study of the paper to its tables."""

    study: str = Field(description="celeba, human-parsing or sceneparse150")
    store: Path | None = Field(None, description="a prepared store; else the study's data set from the hub")
    tree: str | None = Field(None, description="a preset or YAML file for a store with other classes")
    rows: tuple[str, ...] = Field(("table-1",), description="rows, or groups of them: table-1, leak, framing")
    seeds: int = Field(1, ge=1, description="trainings of each row")
    costs: bool = Field(True, description="measure time and memory of a step of each method")
    out: Path | None = Field(None, description="folder of rows and tables; by default under the HEML home")
    options: OptionsForm = TrainingOptions()


class JudgeParameters(Parameters):
    """A trained tree and a store to a judgement of maps."""

    model: str = Field(description="folder of a trained tree, or an MLflow address such as models:/NAME@champion")
    store: Path = Field(description="a segment store with the same classes; its validation photos are used")
    out: Path = Field(description="folder of judgement.md and judgement.json")
    node: str = Field("", description="the node whose maps are judged; empty for the root")
    segment: str | None = Field(None, description="class or leaf for energy and pointing; else all of the tree's")
    avsl: Path | None = Field(None, description="weights of an AVSL baseline with the tree's trunk and embedding")
    pairs: int = Field(300, ge=2, description="pairs of photos, half of one label")
    seed: int = Field(0, ge=0, description="of all that is random")


class AuditParameters(Parameters):
    """A trained tree and a store to a report of what the labels lean on."""

    model: str = Field(description="folder of a trained tree, or an MLflow address such as models:/NAME@champion")
    store: Path = Field(description="the segment store that it was trained on, or another with the same classes")
    out: Path = Field(description="folder of bias.html, bias.json and bias.md")
    group: str | None = Field(None, description="`group`, the store's column, or a segment: has it or not")
    controls: Annotated[
        bool, Field(description="cross-fit also what each leaf's shape, and the background, say alone")
    ] = True
    photos: Annotated[int, Field(ge=2, description="validation photos that each segment of another is put into")] = 40


class DeflateParameters(Parameters):
    """A trained tree and its store to new samples against a shortcut, judged before and after."""

    model: str = Field(description="folder of a trained tree, or an MLflow address such as models:/NAME@champion")
    store: Path = Field(description="the segment store that it was trained on")
    out: Path = Field(description="folder of the audit, the remedies' stores and trees, and deflation.md")
    group: str | None = Field(None, description="`group`, the store's column, or a segment: has it or not")
    plan: Path | None = Field(None, description="a plan, or an audit's bias.json; by default the store is audited")


class ExplainParameters(Parameters):
    """Two photos, or a table of pairs, and a trained tree to explanations."""

    model: str = Field(description="folder of a trained tree, or an MLflow address such as models:/NAME@champion")
    out: Path = Field(description="folder of the explanation, or of one for each pair")
    photo_a: Path | None = Field(None, description="the one photo")
    photo_b: Path | None = Field(None, description="the other")
    mask_a: Path | None = Field(None, description="of the one photo; not needed where the model has a segmenter")
    mask_b: Path | None = Field(None, description="of the other")
    pairs: Path | None = Field(
        None, description="instead of photos: a CSV file, a row a pair, with photo_a, photo_b, mask_a, mask_b"
    )

    def rows(self) -> tuple[PairRow, ...]:
        """The pairs: the table's rows, or the one pair.

        Raises:
            InputError: there are neither two photos nor a table, or both; or as `read_pair_table`.
        """
        given = (self.photo_a, self.photo_b, self.mask_a, self.mask_b)
        if self.pairs is not None and not any(given):
            return read_pair_table(self.pairs.absolute())
        a, b, mask_a, mask_b = (path.resolve() if path else None for path in given)
        if self.pairs is not None or a is None or b is None:
            raise InputError("explain takes either photo_a and photo_b, with their masks, or pairs, a CSV file")
        place = PairPlace(number=1, count=1)
        return (PairRow(where="the pair", place=place, photos=(a, b), masks=(mask_a, mask_b), labels=(None, None)),)
