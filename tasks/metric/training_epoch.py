"""One epoch: batches with an equal share of each class, augmented, and a step on each."""

from contextlib import nullcontext

import numpy as np
import torch
from torch import nn

from tasks.errors import InputError
from tasks.metric.augment import augment
from tasks.metric.batches import balanced_batches
from tasks.metric.learner import Learner
from tasks.metric.model import normalise
from tasks.metric.node_job import NodeJob
from tasks.metric.seeding import draws_random_numbers, seeded
from tasks.metric.training_data import NodeView


def train_epoch(job: NodeJob, learner: Learner, view: NodeView, epoch: int) -> tuple[float, int]:
    """Go once through the training images, in balanced batches, augmented.

    Seeded by the epoch: a resumed training sees the same batches.

    Args:
        job: whose training.
        learner: learns from each batch, in place.
        view: the images.
        epoch: from 0.

    Returns:
        Mean loss and number of images.

    Raises:
        InputError: the loss is not a number.
    """
    options, device = job.options, job.options.device
    order, pixels = np.random.default_rng([options.seed, epoch]), torch.Generator()
    pixels.manual_seed(options.seed * 100_003 + epoch)
    learner.start_epoch(epoch)
    losses, images = [], 0
    draws = draws_random_numbers(learner.learned)
    for number, positions in enumerate(balanced_batches(view.labels, options.batch, order)):
        labels = torch.from_numpy(view.labels[positions]).to(device)
        pictures = normalise(augment(view.pictures(positions, device), options.augmentation, pixels))
        batch_seed = pixels.initial_seed() * 100_003 + number
        with seeded(batch_seed, device) if draws else nullcontext():
            loss = learner.loss(pictures, labels)
        if not torch.isfinite(loss):
            raise diverged(job, "loss", epoch)
        learner.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if learner.gradient_limit is not None:
            nn.utils.clip_grad_norm_(learner.learned.parameters(), learner.gradient_limit)
        learner.optimiser.step()
        losses.append(loss.detach())
        images += len(positions)
    return torch.stack(losses).mean().item(), images


def diverged(job: NodeJob, what: str, epoch: int) -> InputError:
    """The error of a training that has run away: what of it is no number, and what would do."""
    return InputError(
        f"the {what} of node {job.node!r} is not a number in epoch {epoch}: lower the learning rate "
        f"(now {job.options.learning_rate}); the epochs before are kept"
    )
