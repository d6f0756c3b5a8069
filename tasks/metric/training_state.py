"""The resumable state of a training: weights, optimiser and progress after the last finished epoch, in one file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tasks.errors import InputError
from tasks.metric.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from tasks.metric.node_job import EpochReport

PREFIX = "optimiser."  # of AdamW's tensors among the model's


@dataclass
class Progress:
    """What a resumed training has to know besides weights and optimiser.

    Attributes:
        next_epoch: the first that has not run.
        best_epoch: the one whose weights are kept; -1 before the first.
        best_score: the highest score of an epoch on the held-out tenth.
        seconds: spent so far.
        images: trained on so far.
        parts: 2 from where memory ran out and batches are taken in two micro-batches; 1 before.
        reports: of the epochs that have run, in order.
    """

    next_epoch: int = 0
    best_epoch: int = -1
    best_score: float = 0.0
    seconds: float = 0.0
    images: int = 0
    parts: int = 1
    reports: list[EpochReport] = field(default_factory=list)


def save_state(path: Path, key: str, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Write the state after an epoch, whole or not at all.

    Raises:
        OSError: the disk is full; the state before is untouched.
    """
    tensors = dict(model.state_dict())
    for number, entries in optimiser.state_dict()["state"].items():
        tensors |= {f"{PREFIX}{number}.{name}": torch.as_tensor(value) for name, value in entries.items()}
    fields = {"key": key, **vars(progress), "reports": [report.to_dict() for report in progress.reports]}
    save_checkpoint(path, tensors, {"progress": json.dumps(fields)})


def load_state(path: Path, key: str, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Load the last finished epoch into model and optimiser, in place.

    Args:
        path: the file that `save_state` wrote.
        key: the node's; a state of another node is not used.
        model: of the same architecture.
        optimiser: over the model's parameters.

    Returns:
        The progress; that of a fresh training if there is no state, or one that is damaged or does not fit.
    """
    try:
        fields = json.loads(read_metadata(path)["progress"])
        if fields.pop("key") != key:
            return Progress()
        reports = [replace(EpochReport.from_dict(report), earlier=True) for report in fields.pop("reports")]
        progress = Progress(**fields, reports=reports)
        if any(type(value) is not type(getattr(Progress, name)) for name, value in fields.items()):
            return Progress()
        if [report.epoch for report in reports] != list(range(progress.next_epoch)):
            return Progress()
        load_checkpoint(path.with_name("best.safetensors"))  # there and whole
        tensors = load_checkpoint(path)
        state: dict[int, dict[str, Tensor]] = {}
        for name in [name for name in tensors if name.startswith(PREFIX)]:
            _, number, entry = name.split(".")
            state.setdefault(int(number), {})[entry] = tensors.pop(name)
    except (InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
        return Progress()
    if _shapes(tensors) != _shapes(model.state_dict()):
        return Progress()
    model.load_state_dict(tensors)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return progress


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
