"""What a training is asked to do, and what it says after each epoch."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tasks.metric.evaluation import Precision
from tasks.metric.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch showed.

    Attributes:
        epoch: from 0.
        loss: mean over its batches.
        learning_rate: at its start.
        images_per_second: training images, evaluation time excluded.
        micro_batch: images embedded at once at its end: the batch, or half of it after memory ran out.
        held_out: P@K on the tenth held out of training.
        validation: P@K on the validation split, for reporting only.
        earlier: whether an earlier try of the training got there. It may have been told then, too.
    """

    epoch: int
    loss: float
    learning_rate: float
    images_per_second: float
    micro_batch: int
    held_out: Precision
    validation: Precision
    earlier: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "EpochReport":
        """The report again from `to_dict`'s values, also after a trip through JSON."""
        precisions = {name: Precision.from_dict(fields[name]) for name in ("held_out", "validation")}
        return cls(**{**fields, **precisions})


@dataclass(frozen=True, kw_only=True)
class NodeJob:
    """One node's training.

    Attributes:
        node: its name.
        key: its identity's digest.
        folder: where its files go.
        options: how it is trained.
        start: initial weights; None for the model's own.
        stopped: asked before each batch: whether nobody waits for the node any more.
    """

    node: str
    key: str
    folder: Path
    options: TrainingOptions
    start: dict[str, Tensor] | None = None
    stopped: Callable[[], bool] = lambda: False
