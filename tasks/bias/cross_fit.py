"""How well a part tells the label of photos that its model has not seen: training photos, and validation photos.

Cross-fitting (our reading): the training photos are cut in halves, a model learns from each half, and each photo of the
other half asks for its nearest neighbour in the half that was learned from. Every validation photo asks both models.
Nothing is chosen on either: the last epoch is taken. Both kinds of photos are new to the models and are asked alike, so
where their figures differ, the data differ.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.metric.checkpoint import load_checkpoint, save_checkpoint
from tasks.metric.distances import OWN_DISTANCES_TO
from tasks.metric.identity import TRAINING, code_version, made_of, node_key
from tasks.metric.losses import loss_family
from tasks.metric.model import embed, load_model
from tasks.metric.node_job import NodeJob
from tasks.metric.precision import precisions_among
from tasks.metric.subject import Subject
from tasks.metric.training import train_node
from tasks.metric.training_data import NodeView, TrainingData
from tasks.segments.store import SegmentStore

HALVES = 2
_FILE = "cross_fit.safetensors"


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Whether the nearest neighbour of each photo has its label.

    Attributes:
        train_indices: int64 [n], training photos that show the part.
        train: float64 [n] in [0, 1], their shares; ties count by expectation.
        validation_indices: int64 [m], likewise.
        validation: float64 [m], the mean over both models.
    """

    train_indices: NDArray[np.int64]
    train: NDArray[np.float64]
    validation_indices: NDArray[np.int64]
    validation: NDArray[np.float64]


def halves(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Which half each photo is in, int64 [n] of 0 and 1; each label's photos are shared out evenly.

    Args:
        labels: int64 [n].
        seed: of the draw.
    """
    half = np.empty(len(labels), dtype=np.int64)
    generator = np.random.default_rng(seed)
    for label in np.unique(labels):
        own = generator.permutation(np.flatnonzero(labels == label))
        half[own] = np.arange(len(own)) % HALVES
    return half


def cross_fit(subject: Subject, store: SegmentStore, decoded: Path, folder: Path) -> CrossFit | None:
    """Cross-fit one part, a control, or take what an earlier call left.

    Args:
        subject: what is shown; it is trained from its own initial weights.
        store: the data; photos alone.
        decoded: folder of this machine's decoded splits.
        folder: where results are kept, each in a folder of its key.

    Returns:
        The shares; None where it cannot be trained (`TrainingData.degenerate`).

    Raises:
        InputError: a picture cannot be decoded, or the loss is not a number.
    """
    code = code_version((*made_of(TRAINING), "bias/cross_fit.py"))
    key = node_key({"cross-fit": HALVES, "subject": subject.key(store), "code": code})
    if (folder / key / _FILE).is_file():
        kept = {name: tensor.numpy() for name, tensor in load_checkpoint(folder / key / _FILE).items()}
        return CrossFit(**kept)
    data = subject.data(store, decoded)
    if data.degenerate:
        return None
    photos = data.train.data
    rows = np.sort(np.concatenate([data.train.indices, data.held_out.indices]))
    whole = replace(data.train, indices=rows)
    half = halves(photos.labels, subject.options.seed)
    train, validation = np.empty(len(whole)), np.zeros(len(data.validation))
    for number in range(HALVES):
        learned, asked = whole.subset(half == number), whole.subset(half != number)
        shares = _asked(subject, replace(data, train=learned), asked, folder / key / str(number))
        train[np.isin(whole.indices, asked.indices)] = shares[0]
        validation += shares[1] / HALVES
    found = CrossFit(
        train_indices=whole.indices, train=train, validation_indices=data.validation.indices, validation=validation
    )
    save_checkpoint(folder / key / _FILE, {name: torch.from_numpy(value) for name, value in vars(found).items()})
    return found


def _asked(
    subject: Subject, data: TrainingData, asked: NodeView, folder: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the photos of the other half and of validation, by a model of one half."""
    options = replace(subject.options, patience=subject.options.epochs)
    none = replace(data.held_out, indices=np.empty(0, dtype=np.int64))
    job = NodeJob(node=subject.name, key=folder.parent.name, folder=folder, options=options)
    result = train_node(job, replace(data, held_out=none, validation=none), lambda _: None)
    model = load_model(options.model, load_checkpoint(result.checkpoint, result.checkpoint_sha256)).to(options.device)
    references = embed(model, data.train.batches(options.device), options.device)
    distance = OWN_DISTANCES_TO[loss_family(options.loss).own_distance](references)
    labels = torch.from_numpy(data.train.labels)

    def shares(view: NodeView) -> NDArray[np.float64]:
        if not len(view):
            return np.empty(0)
        queries = embed(model, view.batches(options.device), options.device)
        return precisions_among(distance, queries, torch.from_numpy(view.labels), labels, [1])[1].numpy()

    return shares(asked), shares(data.validation)
