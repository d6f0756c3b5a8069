"""The gradients of a batch: of all its pictures at once or, where memory does not suffice, of a part after the other.

In parts they are exact (gradient caching: L. Gao et al., *Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup*, arXiv 2101.06983): the miner and the loss see the whole batch. Embeddings are small, what lies between
them and the pictures is not, so each part is embedded without keeping that, the loss gives the gradient with respect to
all embeddings, and each part is embedded once more to go on backwards from there.

BatchNorm alone makes a difference: its statistics are those of the parts, and it takes them into its running ones once
a part. `NodeResult.micro_batch` tells such a training.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tasks.metric.learner import Learner
from tasks.metric.seeding import seeded


def whole_gradients(learner: Learner, pictures: Tensor, labels: Tensor, seed: int | None) -> Tensor:
    """Set the gradients of all that is learned, from the whole batch at once.

    Args:
        learner: what is trained.
        pictures: normalised, float32 [b, 3, h, w], on the device.
        labels: int64 [b], on the device.
        seed: of what the model draws at random; None for a model that draws nothing.

    Returns:
        The loss, a scalar without a gradient.
    """
    learner.optimiser.zero_grad()
    with _drawing(seed, pictures.device):
        loss = learner.loss(learner.forward(pictures), labels)
    torch.autograd.backward(loss)
    return loss.detach()


def split_gradients(learner: Learner, pictures: Tensor, labels: Tensor, seed: int | None, parts: int) -> Tensor:
    """Set the gradients of all that is learned, from the batch in parts.

    Args:
        learner: what is trained.
        pictures: normalised, float32 [b, 3, h, w], on the device; at least 2 a part.
        labels: int64 [b], on the device.
        seed: of what the model draws at random; None for a model that draws nothing.
        parts: how many.

    Returns:
        The loss, a scalar without a gradient.
    """
    learner.optimiser.zero_grad()
    # Pictures of one class stand together in a batch: every n-th, so that each part has its share of each class.
    micro_batches = [pictures[number::parts] for number in range(parts)]
    seeds = [None if seed is None else seed * parts + number for number in range(parts)]

    def outputs(number: int) -> tuple[Tensor, ...]:
        with _drawing(seeds[number], pictures.device):
            return learner.forward(micro_batches[number])

    with torch.no_grad(), statistics_kept(learner.learned):
        rows = [outputs(number) for number in range(parts)]
    embeddings, *others = (torch.cat(part) for part in zip(*rows, strict=True))
    embeddings.requires_grad_()
    loss = learner.loss((embeddings, *others), torch.cat([labels[number::parts] for number in range(parts)]))
    torch.autograd.backward(loss)
    assert embeddings.grad is not None
    gradients = torch.split(embeddings.grad, [len(micro_batch) for micro_batch in micro_batches])
    for number, gradient in enumerate(gradients):
        torch.autograd.backward(outputs(number)[0], gradient)
    return loss.detach()


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """BatchNorm in training mode goes by each batch's statistics as ever, and leaves its running ones as they are."""
    tracking = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


def _drawing(seed: int | None, device: torch.device) -> AbstractContextManager[None]:
    return nullcontext() if seed is None else seeded(seed, device.type)
