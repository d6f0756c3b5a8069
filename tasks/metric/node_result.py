"""The record that a node's training leaves: small, frozen, plain values."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.metric.checkpoint import file_sha256
from tasks.metric.evaluation import Precision
from tasks.segments.framing import Framing
from tasks.temporary_path import write_whole

Status = Literal["trained", "degenerate"]
ShownStatus = Literal["trained", "cached", "degenerate"]


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """What is kept of a node's training. Figures are None for a degenerate node.

    Attributes:
        node: its name.
        key: its identity's digest; names its folder.
        status: "trained" or "degenerate".
        reason: why it is degenerate, else "".
        folder: where its files lie: best.safetensors, embeddings.safetensors, and loss.safetensors if the loss has
            parameters of its own.
        checkpoint_sha256: digest of the best epoch's weights.
        framing: "full" or "crop".
        size: edge of its pictures, pixels.
        precision: P@K on the validation split, with intervals.
        held_out_precision_at_1: P@1 on the tenth held out of training; averaging weights may be chosen by it.
        area: mean share of the pixels of a training image that the node shows, in [0, 1].
        train_images: images trained on, held-out ones excluded.
        epochs: epochs that ran.
        best_epoch: the one whose weights are kept, from 0.
        seconds: wall time of the training, interruptions excluded.
        images_per_second: training images, evaluation time included.
        peak_memory: bytes; of the GPU where there is one, else of the process; with all that trains there beside it.
        parameters: numbers that were learned, a loss's own (proxies, sub-centres) included.
        micro_batch: images embedded at once in training: the batch, or half of it from where memory ran out, which
            BatchNorm makes a difference of (`micro_batches`); None where nothing was trained.
        mlflow_run_id: the node's run, where it is tracked.
    """

    node: str
    key: str
    status: Status
    reason: str
    folder: str
    checkpoint_sha256: str | None
    framing: Framing
    size: int
    precision: Precision
    held_out_precision_at_1: float | None
    area: float
    train_images: int
    epochs: int
    best_epoch: int
    seconds: float
    images_per_second: float
    peak_memory: int
    parameters: int
    micro_batch: int | None = None
    mlflow_run_id: str | None = None

    @property
    def checkpoint(self) -> Path:
        """File of the best epoch's weights."""
        return Path(self.folder) / "best.safetensors"

    @property
    def embeddings(self) -> Path:
        """File of what the best epoch makes of the images that nothing was learned from.

        `validation` and `held_out`: float32 [n, d], not L2-normalised; `validation_indices` and `held_out_indices`:
        int64 [n], positions in the whole split. What an AVSL baseline keeps: `avsl_training.train_avsl`.
        """
        return Path(self.folder) / "embeddings.safetensors"

    def shown_status(self, *, cached: bool) -> ShownStatus:
        """Its status, or "cached" if an earlier run trained it."""
        return "cached" if cached and self.status == "trained" else self.status

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "NodeResult":
        """The record again from `to_dict`'s values, also after a trip through JSON."""
        return cls(**{**fields, "precision": Precision.from_dict(fields["precision"])})


def write_result(result: NodeResult) -> None:
    """Write result.json into the node's folder, whole or not at all: it marks the node as done."""
    write_whole(Path(result.folder) / "result.json", json.dumps(result.to_dict(), indent=1))


def read_result(folder: Path) -> NodeResult | None:
    """The result in a node's folder, wherever the folder has moved to; None if it is not done."""
    try:
        fields = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return NodeResult.from_dict({**fields, "folder": str(folder)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finished_result(folder: Path, key: str) -> NodeResult | None:
    """The result in a node's folder if it is of this key and its checkpoint is intact, else None."""
    result = read_result(folder)
    if result is None or result.key != key:
        return None
    if result.status == "degenerate":
        return result
    intact = result.checkpoint.is_file() and file_sha256(result.checkpoint) == result.checkpoint_sha256
    return result if intact and result.embeddings.is_file() else None
