"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.errors import InputError
from tasks.metric.losses import LOSSES


def check_store(store: Path | None) -> Path | None:
    """The same path; what is no store is said here, and not after the seconds that Prefect and torch take to start."""
    if store is not None:
        from tasks.segments.store import open_store

        open_store(store)
    return store


StoreOfClasses = Annotated[Path, typer.Option(help="any segment store with the same classes", callback=check_store)]
JsonFile = Annotated[Path | None, typer.Option("--json", help="write the result as JSON to this file")]
Decision = Annotated[str, typer.Option(help="own: each node's model; composed: the sum of its leaves; auto")]
Trunk = Annotated[str, typer.Option(help="a torchvision CNN by name, efficientnet_lite0, resnet12, or small")]
Weights = Annotated[str, typer.Option(help="none, DEFAULT or a file")]
Embedding = Annotated[int, typer.Option(help="dimensions")]
Loss = Annotated[str, typer.Option(help=", ".join(LOSSES))]
Size = Annotated[int, typer.Option(help="edge of the pictures, pixels")]
Fill = Annotated[str, typer.Option(help="of what is not in a node: black, mean, blur or background")]
Framing = Annotated[str, typer.Option(help="full: the whole photo; crop: a square about the part; auto: small parts")]
Absent = Annotated[str, typer.Option(help="images without the part: skip or blank")]
Averaging = Annotated[str, typer.Option(help="a parent's start: equal, area or precision")]
Augmentation = Annotated[str, typer.Option(help="of training pictures: none, mirror or full")]
Epochs = Annotated[int, typer.Option(help="at most")]
CombinedEpochs = Annotated[int | None, typer.Option(help="at most, of a combined node; else as many as a leaf")]
Patience = Annotated[int, typer.Option(help="epochs in a row with a worse held-out P@K before it stops")]
Batch = Annotated[int, typer.Option(help="images a step")]
LearningRate = Annotated[float, typer.Option(help="of AdamW")]
WeightDecay = Annotated[float, typer.Option(help="of AdamW")]


def check_share(option: str, value: float) -> None:
    """Raise an InputError for a share that is not in 0..1."""
    if not 0 <= value <= 1:
        raise InputError(f"{option} needs a share, 0 to 1; got {value:g}")


def check_count(option: str, value: int, least: int) -> None:
    """Raise an InputError for a number that is too small."""
    if value < least:
        raise InputError(f"{option} needs at least {least}; got {value}")
