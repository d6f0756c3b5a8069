"""Parameters of the flows: pydantic models, so that Prefect's UI draws a form for each."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.form_schema import Described, Parameters, by_any_of
from flows.photo_sources import Cub, Dataset, Folder, Portraits
from tasks.errors import InputError
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.pair_table import PairRow, read_pair_table
from tasks.metric.decision import DecisionChoice
from tasks.metric.losses import LOSSES
from tasks.metric.options import TrainingOptions

Model = Annotated[
    str, Field(description="folder of a trained tree, or an MLflow address such as models:/NAME@champion")
]
# Device and threads are settings of the machine that trains: HEML_DEVICE, HEML_THREADS.
OptionsForm = Annotated[TrainingOptions, Described(choices={"loss": tuple(LOSSES)}, hidden=("device", "threads"))]


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
    fit_segmenter: Annotated[bool, Field(description="train one, or that one, on the photos with masks")] = False
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

    model: Model
    store: Path = Field(description="a segment store with the same classes; its validation photos are used")
    out: Path = Field(description="folder of judgement.md and judgement.json")
    node: str = Field("", description="the node whose maps are judged; empty for the root")
    segment: str | None = Field(None, description="class or leaf for energy and pointing; else all of the tree's")
    avsl: Path | None = Field(None, description="weights of an AVSL baseline with the tree's trunk and embedding")
    pairs: int = Field(300, ge=2, description="pairs of photos, half of one label")
    seed: int = Field(0, ge=0, description="of all that is random")


class AuditParameters(Parameters):
    """A trained tree and a store to a report of what the labels lean on."""

    model: Model
    store: Path = Field(description="the segment store that it was trained on, or another with the same classes")
    out: Path = Field(description="folder of bias.html, bias.json and bias.md")
    group: str | None = Field(None, description="`group`, the store's column, or a segment: has it or not")
    controls: Annotated[
        bool, Field(description="cross-fit also what each leaf's shape, and the background, say alone")
    ] = True
    photos: Annotated[int, Field(ge=2, description="validation photos that each segment of another is put into")] = 40


class DeflateParameters(Parameters):
    """A trained tree and its store to new samples against a shortcut, judged before and after."""

    model: Model
    store: Path = Field(description="the segment store that it was trained on")
    out: Path = Field(description="folder of the audit, the remedies' stores and trees, and deflation.md")
    group: str | None = Field(None, description="`group`, the store's column, or a segment: has it or not")
    plan: Path | None = Field(None, description="a plan, or an audit's bias.json; by default the store is audited")


class ExplainParameters(Parameters):
    """Two photos, or a table of pairs, and a trained tree to explanations."""

    model: Model
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
