"""The loop of every training: all epochs, one of them kept by the held-out tenth, resumable after each.

What is learned, and how a batch of pictures becomes a loss, is the `Learner`'s.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.metric.checkpoint import file_sha256, load_checkpoint, save_checkpoint
from tasks.metric.epoch_choice import as_good
from tasks.metric.epoch_reports import read_reports, write_reports
from tasks.metric.evaluation import Precision
from tasks.metric.learner import Learner
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import NodeResult, finished_result, write_result
from tasks.metric.options import TrainingOptions
from tasks.metric.out_of_memory import memory_checked
from tasks.metric.peak_memory import peak_memory
from tasks.metric.torch_threads import torch_threads
from tasks.metric.training_data import NodeView, TrainingData
from tasks.metric.training_epoch import diverged, micro_batch, train_epoch
from tasks.metric.training_state import Progress, load_state, save_state

_KERNELS = threading.Lock()
_before: list[bool] = []  # one a training under way: what was chosen when it began


def fit(
    job: NodeJob, data: TrainingData, learner: Callable[[], Learner], on_epoch: Callable[[EpochReport], None]
) -> NodeResult:
    """Train, or go on from the last finished epoch, or take the result if there is one.

    Args:
        job: whose training, where its files go, how.
        data: its images.
        learner: makes what is trained, in its initial state.
        on_epoch: called after each epoch, and at once for those that ran before an interruption.

    Raises:
        InputError: the loss or an embedding is not a number; the epochs before are kept.
        OutOfMemory: memory does not suffice, also for micro-batches; the epochs before are kept.
        OSError: the disk is full; the epochs before are kept.
    """
    if done := finished_result(job.folder, job.key):
        for report in read_reports(job.folder):
            on_epoch(report)
        return done
    job.folder.mkdir(parents=True, exist_ok=True)
    if data.degenerate:
        result = _degenerate_result(job, data)
        write_result(result)
        return result
    with _reproducible(job.options):
        return memory_checked(job, lambda: _fit(job, data, learner(), on_epoch))


def _fit(job: NodeJob, data: TrainingData, learner: Learner, on_epoch: Callable[[EpochReport], None]) -> NodeResult:
    options, learned, optimiser = job.options, learner.learned, learner.optimiser
    last = job.folder / "last.safetensors"
    progress = load_state(last, job.key, learned, optimiser)
    for report in progress.reports:
        on_epoch(report)
    while progress.next_epoch < options.epochs and not _stopped_early(progress, options):
        started = time.perf_counter()
        epoch = progress.next_epoch
        for group in optimiser.param_groups:
            group["lr"] = group["factor"] * options.learning_rate * 0.5 * (1 + np.cos(np.pi * epoch / options.epochs))
        loss, images, progress.parts = train_epoch(job, learner, data.train, epoch, progress.parts)
        speed = images / (time.perf_counter() - started)
        held_out, validation = (_precision(job, learner, view, epoch) for view in (data.held_out, data.validation))
        score = held_out.mean or 0.0  # without any, all epochs are as good
        if as_good(score, progress.best_score, held_out.n):
            progress.best_epoch = epoch
            for name, tensors in learner.weights().items():
                save_checkpoint(job.folder / name, tensors)
        progress.best_score = max(progress.best_score, score)
        progress.next_epoch += 1
        progress.images += images
        progress.seconds += time.perf_counter() - started
        report = EpochReport(
            epoch=epoch,
            loss=loss,
            learning_rate=optimiser.param_groups[0]["lr"],
            images_per_second=speed,
            micro_batch=micro_batch(options.batch, progress.parts),
            held_out=held_out,
            validation=validation,
        )
        progress.reports.append(report)
        save_state(last, job.key, learned, optimiser, progress)
        on_epoch(report)
    learner.load(load_checkpoint(job.folder / "best.safetensors"))
    result = _result(job, data, learner, progress)
    write_reports(job.folder, progress.reports)
    write_result(result)
    last.unlink(missing_ok=True)
    return result


def _precision(job: NodeJob, learner: Learner, view: NodeView, epoch: int) -> Precision:
    if not len(view):
        return Precision.none(0)
    embedded = learner.embed(view)
    if not all(torch.isfinite(tensor).all() for tensor in embedded.values()):
        raise diverged(job, "embedding", epoch)
    return learner.precision(embedded, torch.from_numpy(view.labels), intervals=False)


def _result(job: NodeJob, data: TrainingData, learner: Learner, progress: Progress) -> NodeResult:
    kept: dict[str, Tensor] = {}
    figures: dict[str, Precision] = {}
    for split, view in (("validation", data.validation), ("held_out", data.held_out)):
        embedded = learner.embed(view)
        figures[split] = learner.precision(embedded, torch.from_numpy(view.labels), intervals=split == "validation")
        kept |= {split if name == "embeddings" else f"{split}_{name}": tensor for name, tensor in embedded.items()}
        kept[f"{split}_indices"] = torch.from_numpy(view.indices)
    save_checkpoint(job.folder / "embeddings.safetensors", kept)
    return NodeResult(
        node=job.node,
        key=job.key,
        status="trained",
        reason="",
        folder=str(job.folder),
        checkpoint_sha256=file_sha256(job.folder / "best.safetensors"),
        **_shown(job.options),
        precision=figures["validation"],
        held_out_precision_at_1=figures["held_out"].at[1],
        area=data.area,
        train_images=len(data.train),
        epochs=progress.next_epoch,
        best_epoch=progress.best_epoch,
        seconds=progress.seconds,
        images_per_second=progress.images / progress.seconds,
        peak_memory=peak_memory(job.options.device),
        parameters=sum(parameter.numel() for parameter in learner.learned.parameters()),
        micro_batch=micro_batch(job.options.batch, progress.parts),
    )


def _degenerate_result(job: NodeJob, data: TrainingData) -> NodeResult:
    return NodeResult(
        node=job.node,
        key=job.key,
        status="degenerate",
        reason=data.degenerate,
        folder=str(job.folder),
        checkpoint_sha256=None,
        **_shown(job.options),
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


def _shown(options: TrainingOptions) -> dict[str, Any]:
    return {"framing": options.framing, "size": options.size}


def _stopped_early(progress: Progress, options: TrainingOptions) -> bool:
    return progress.next_epoch - 1 - progress.best_epoch >= options.patience


@contextmanager
def _reproducible(options: TrainingOptions) -> Iterator[None]:
    """The given number of threads, and deterministic kernels on the GPU."""
    with torch_threads(options.threads), _deterministic_kernels():
        yield


@contextmanager
def _deterministic_kernels() -> Iterator[None]:
    """The choice is the process's, in which several trainings may share a GPU: the last one out takes it back."""
    with _KERNELS:
        _before.append(torch.backends.cudnn.deterministic)
        torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        with _KERNELS:
            torch.backends.cudnn.deterministic = _before.pop()
