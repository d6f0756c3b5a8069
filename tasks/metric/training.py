"""A node's training: embed, mine, loss, over all epochs; the weights of the best epoch are kept (HEML section 1.3)."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tasks.errors import InputError
from tasks.metric.augment import augment
from tasks.metric.batches import balanced_batches
from tasks.metric.checkpoint import file_sha256, load_checkpoint, save_checkpoint
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.losses import loss_family
from tasks.metric.model import EmbeddingModel, build_model, embed, mixed_precision, normalise
from tasks.metric.node_result import NodeResult, finished_result, write_result
from tasks.metric.options import TrainingOptions
from tasks.metric.seeding import draws_random_numbers, seeded
from tasks.metric.training_data import NodeView, TrainingData
from tasks.metric.training_state import Progress, load_state, save_state

PROXY_LEARNING_RATE = 30.0  # proxies learn so many times as fast as the model: 0.01 by default, as ProxyAnchor's do


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch showed.

    Attributes:
        epoch: from 0.
        loss: mean over its batches.
        learning_rate: at its start.
        images_per_second: training images, evaluation time excluded.
        held_out: P@K on the tenth held out of training.
        validation: P@K on the validation split, for reporting only.
    """

    epoch: int
    loss: float
    learning_rate: float
    images_per_second: float
    held_out: Precision
    validation: Precision


@dataclass(frozen=True, kw_only=True)
class NodeJob:
    """One node's training.

    Attributes:
        node: its name.
        key: its identity's digest.
        folder: where its files go.
        options: how it is trained.
        start: initial weights; None for the model's own.
    """

    node: str
    key: str
    folder: Path
    options: TrainingOptions
    start: dict[str, Tensor] | None = None


def train_node(job: NodeJob, data: TrainingData, on_epoch: Callable[[EpochReport], None]) -> NodeResult:
    """Train a node, or go on from its last finished epoch, or take its result if it is done.

    Args:
        job: which node, from which weights, how.
        data: the node's images.
        on_epoch: called after each epoch that runs.

    Raises:
        InputError: the loss is not a number; the epochs before are kept.
        OSError: the disk is full; the epochs before are kept.
    """
    if done := finished_result(job.folder, job.key):
        return done
    job.folder.mkdir(parents=True, exist_ok=True)
    if data.degenerate:
        result = _degenerate_result(job, data)
        write_result(result)
        return result
    with _reproducible(job.options):
        return _train(job, data, on_epoch)


def _train(job: NodeJob, data: TrainingData, on_epoch: Callable[[EpochReport], None]) -> NodeResult:
    options = job.options
    model = build_model(options.model).to(options.device)
    if job.start is not None:
        model.load_state_dict(job.start)
    loss_function = _loss(options, len(data.train.data.label_names))
    learned = nn.ModuleDict({"model": model, "loss": loss_function})
    optimiser = _optimiser(model, loss_function, options)
    best, last = job.folder / "best.safetensors", job.folder / "last.safetensors"
    progress = load_state(last, job.key, learned, optimiser)
    while progress.next_epoch < options.epochs and not _stopped_early(progress, options):
        started = time.perf_counter()
        epoch = progress.next_epoch
        for group in optimiser.param_groups:
            group["lr"] = group["factor"] * options.learning_rate * 0.5 * (1 + np.cos(np.pi * epoch / options.epochs))
        loss, images = _train_epoch(job, model, loss_function, optimiser, data.train, epoch)
        speed = images / (time.perf_counter() - started)
        held_out, validation = (_precision(job, model, view, epoch) for view in (data.held_out, data.validation))
        score = _score(held_out, epoch)
        if score > progress.best_score:
            progress.best_epoch, progress.best_score = epoch, score
            save_checkpoint(best, model.state_dict())
            if proxies := loss_function.state_dict():
                save_checkpoint(job.folder / "loss.safetensors", proxies)
        progress.next_epoch += 1
        progress.images += images
        progress.seconds += time.perf_counter() - started
        save_state(last, job.key, learned, optimiser, progress)
        on_epoch(
            EpochReport(
                epoch=epoch,
                loss=loss,
                learning_rate=optimiser.param_groups[0]["lr"],
                images_per_second=speed,
                held_out=held_out,
                validation=validation,
            )
        )
    model.load_state_dict(load_checkpoint(best))
    result = _result(job, data, learned, progress)
    write_result(result)
    last.unlink(missing_ok=True)
    return result


def _loss(options: TrainingOptions, labels: int) -> nn.Module:
    """The loss on the device. Proxies start anew at each node: children's are of other embeddings (our reading)."""
    with seeded(options.seed):
        return loss_family(options.loss).build(labels, options.embedding).to(options.device)


def _optimiser(model: nn.Module, loss_function: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    groups = [{"params": list(model.parameters()), "factor": 1.0}]
    if proxies := list(loss_function.parameters()):
        groups.append({"params": proxies, "factor": PROXY_LEARNING_RATE})
    return torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=options.weight_decay)


def _train_epoch(
    job: NodeJob,
    model: EmbeddingModel,
    loss_function: nn.Module,
    optimiser: torch.optim.AdamW,
    view: NodeView,
    epoch: int,
) -> tuple[float, int]:
    """Mean loss and number of images. Seeded by the epoch: a resumed training sees the same batches."""
    options, device = job.options, job.options.device
    miner = loss_family(options.loss).miner()
    order, pixels = np.random.default_rng([options.seed, epoch]), torch.Generator()
    pixels.manual_seed(options.seed * 100_003 + epoch)
    model.train()
    losses, images = [], 0
    draws = draws_random_numbers(model)
    for number, positions in enumerate(balanced_batches(view.labels, options.batch, order)):
        labels = torch.from_numpy(view.labels[positions]).to(device)
        pictures = normalise(augment(view.pictures(positions, device), options.augmentation, pixels))
        batch_seed = pixels.initial_seed() * 100_003 + number
        with mixed_precision(device), seeded(batch_seed, device) if draws else nullcontext():
            embeddings = model(pictures)
        loss = loss_function(embeddings, labels, miner(embeddings, labels) if miner else None)
        if not torch.isfinite(loss):
            raise _diverged(job, "loss", epoch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
        images += len(positions)
    return torch.stack(losses).mean().item(), images


def _diverged(job: NodeJob, what: str, epoch: int) -> InputError:
    return InputError(
        f"the {what} of node {job.node!r} is not a number in epoch {epoch}: lower the learning rate "
        f"(now {job.options.learning_rate}); the epochs before are kept"
    )


def _precision(job: NodeJob, model: EmbeddingModel, view: NodeView, epoch: int) -> Precision:
    if not len(view):
        return Precision.none(0)
    options = job.options
    embeddings = embed(model, view.batches(options.device), options.device)
    if not torch.isfinite(embeddings).all():
        raise _diverged(job, "embedding", epoch)
    own_distance = loss_family(options.loss).own_distance
    return evaluate(embeddings, torch.from_numpy(view.labels), own_distance, intervals=False)


def _result(job: NodeJob, data: TrainingData, learned: nn.ModuleDict, progress: Progress) -> NodeResult:
    options = job.options
    model = learned["model"]
    assert isinstance(model, EmbeddingModel)
    validation, held_out = (_embeddings(model, view, options) for view in (data.validation, data.held_out))
    save_checkpoint(
        job.folder / "embeddings.safetensors",
        {
            "validation": validation,
            "validation_indices": torch.from_numpy(data.validation.indices),
            "held_out": held_out,
            "held_out_indices": torch.from_numpy(data.held_out.indices),
        },
    )
    own_distance = loss_family(options.loss).own_distance
    return NodeResult(
        node=job.node,
        key=job.key,
        status="trained",
        reason="",
        folder=str(job.folder),
        checkpoint_sha256=file_sha256(job.folder / "best.safetensors"),
        precision=evaluate(validation, torch.from_numpy(data.validation.labels), own_distance),
        held_out_precision_at_1=evaluate(
            held_out, torch.from_numpy(data.held_out.labels), own_distance, intervals=False
        ).at[1],
        area=data.area,
        train_images=len(data.train),
        epochs=progress.next_epoch,
        best_epoch=progress.best_epoch,
        seconds=progress.seconds,
        images_per_second=progress.images / progress.seconds,
        peak_memory=_peak_memory(options.device),
        parameters=sum(parameter.numel() for parameter in learned.parameters()),
    )


def _embeddings(model: EmbeddingModel, view: NodeView, options: TrainingOptions) -> Tensor:
    if not len(view):
        return torch.empty(0, options.embedding)
    return embed(model, view.batches(options.device), options.device)


def _degenerate_result(job: NodeJob, data: TrainingData) -> NodeResult:
    return NodeResult(
        node=job.node,
        key=job.key,
        status="degenerate",
        reason=data.degenerate,
        folder=str(job.folder),
        checkpoint_sha256=None,
        precision=Precision.none(len(data.validation)),
        held_out_precision_at_1=None,
        area=data.area,
        train_images=len(data.train),
        epochs=0,
        best_epoch=-1,
        seconds=0.0,
        images_per_second=0.0,
        peak_memory=0,
        parameters=0,
    )


def _score(held_out: Precision, epoch: int) -> float:
    """Mean of P@1, P@2 and P@8: on a small held-out tenth P@1 alone is mostly noise. Without any, the last epoch."""
    figures = [value for value in held_out.at.values() if value is not None]
    return float(np.mean(figures)) if figures else float(epoch)


def _stopped_early(progress: Progress, options: TrainingOptions) -> bool:
    return progress.next_epoch - 1 - progress.best_epoch >= options.patience


def _peak_memory(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _reproducible(options: TrainingOptions) -> Iterator[None]:
    """The given number of threads, and deterministic kernels on the GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    deterministic = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = deterministic
