"""One epoch: batches with an equal share of each class, augmented, and a step on each."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from tasks.errors import InputError, Stopped
from tasks.metric.augment import augment
from tasks.metric.batches import balanced_batches
from tasks.metric.learner import Learner
from tasks.metric.micro_batches import split_gradients, whole_gradients
from tasks.metric.model import normalise
from tasks.metric.node_job import NodeJob
from tasks.metric.out_of_memory import is_out_of_memory, out_of_memory
from tasks.metric.seeding import draws_random_numbers
from tasks.metric.training_data import NodeView

SPLIT = 2
"""Parts of a batch that does not fit into memory as a whole."""


def train_epoch(job: NodeJob, learner: Learner, view: NodeView, epoch: int, parts: int = 1) -> tuple[float, int, int]:
    """Go once through the training images, in balanced batches, augmented.

    Seeded by the epoch: a resumed training sees the same batches. From the first batch on for which memory does not
    suffice, that one included, batches are taken in two micro-batches (`micro_batches` says what that changes).

    Args:
        job: whose training.
        learner: learns from each batch, in place.
        view: the images.
        epoch: from 0.
        parts: 1, or 2 where batches are taken in two micro-batches from the first on.

    Returns:
        Mean loss, number of images, and `parts` for the next epoch.

    Raises:
        InputError: the loss is not a number.
        OutOfMemory: memory does not suffice for micro-batches either.
        Stopped: nobody waits for it any more.
    """
    options, device = job.options, job.options.device
    order, pixels = np.random.default_rng([options.seed, epoch]), torch.Generator()
    pixels.manual_seed(options.seed * 100_003 + epoch)
    learner.start_epoch(epoch)
    losses, images = [], 0
    draws = draws_random_numbers(learner.learned)
    of_all = view.labels  # made anew at each look
    for number, positions in enumerate(balanced_batches(of_all, options.batch, order)):
        if job.stopped():
            raise Stopped(f"the training of {job.node!r} was stopped in epoch {epoch}; the epochs before are kept")
        labels = torch.from_numpy(of_all[positions]).to(device)
        pictures = normalise(augment(view.pictures(positions, device), options.augmentation, pixels))
        batch_seed = pixels.initial_seed() * 100_003 + number if draws else None
        found = _gradients_of_all(learner, pictures, labels, batch_seed) if parts == 1 else None
        if found is None:
            parts = SPLIT
            found = _gradients_in_parts(learner, pictures, labels, batch_seed)
        if found is None:
            raise out_of_memory(job, f", also in micro-batches of {micro_batch(options.batch, parts)}")
        if not torch.isfinite(found):
            raise diverged(job, "loss", epoch)
        if learner.gradient_limit is not None:
            nn.utils.clip_grad_norm_(learner.learned.parameters(), learner.gradient_limit)
        learner.optimiser.step()
        losses.append(found)
        images += len(positions)
    return torch.stack(losses).mean().item(), images, parts


def micro_batch(batch: int, parts: int) -> int:
    """Pictures that are embedded at once of a batch taken in so many parts."""
    return math.ceil(batch / parts)


def _gradients_of_all(learner: Learner, pictures: Tensor, labels: Tensor, seed: int | None) -> Tensor | None:
    """`whole_gradients`; None where memory ran out, and then nothing has changed but the gradients."""
    buffers = [buffer.clone() for buffer in learner.learned.buffers()]
    try:
        return whole_gradients(learner, pictures, labels, seed)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Not where the error is caught: it holds on to all that was made of the batch.
    for buffer, before in zip(learner.learned.buffers(), buffers, strict=True):
        buffer.copy_(before)  # BatchNorm may have counted the batch already
    _give_back(learner)
    return None


def _gradients_in_parts(learner: Learner, pictures: Tensor, labels: Tensor, seed: int | None) -> Tensor | None:
    """`split_gradients`; None where memory ran out."""
    try:
        return split_gradients(learner, pictures, labels, seed, SPLIT)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    _give_back(learner)
    return None


def _give_back(learner: Learner) -> None:
    learner.optimiser.zero_grad()
    torch.cuda.empty_cache()  # freed pieces are put together again; without a GPU it does nothing


def diverged(job: NodeJob, what: str, epoch: int) -> InputError:
    """The error of a training that has run away: what of it is no number, and what would do."""
    return InputError(
        f"the {what} of node {job.node!r} is not a number in epoch {epoch}: lower the learning rate "
        f"(now {job.options.learning_rate}); the epochs before are kept"
    )
