"""What a training needs to know of the thing that it trains: the same loop serves any model."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from tasks.metric.evaluation import Precision
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import NodeView

PROXY_LEARNING_RATE = 30.0  # proxies learn so many times as fast as the model: 0.01 by default, as ProxyAnchor's do


class Learner(Protocol):
    """What is trained.

    Attributes:
        learned: all that is learned, on the device; a resumed training goes on from its state.
        optimiser: over its parameters, from `optimiser_of`.
        gradient_limit: largest norm of all gradients together; None for no limit.
    """

    learned: nn.Module
    optimiser: torch.optim.Optimizer
    gradient_limit: float | None

    def start_epoch(self, epoch: int) -> None:
        """Set what learns in this epoch: training mode, and parts that stay as they are."""

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """What the loss is made of; a batch in parts gives the same, but for BatchNorm.

        Args:
            pictures: normalised, float32 [b, 3, h, w], on the device.

        Returns:
            Tensors with a row a picture. The gradient goes through the first alone, the embeddings.
        """

    def loss(self, outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Loss of a batch, once a step.

        Args:
            outputs: of `forward`.
            labels: int64 [b], on the device.

        Returns:
            A scalar to go down on.
        """

    def embed(self, view: NodeView) -> dict[str, Tensor]:
        """What is kept of a split's images: `embeddings`, float32 [n, d], and what else distances need, on the CPU."""

    def precision(self, embedded: Mapping[str, Tensor], labels: Tensor, *, intervals: bool) -> Precision:
        """P@K of what `embed` gave, queried against each other by the learner's own distance; labels int64 [n]."""

    def weights(self) -> dict[str, Mapping[str, Tensor]]:
        """What is kept of the best epoch: file name to tensors. `best.safetensors` is among them."""

    def load(self, best: Mapping[str, Tensor]) -> None:
        """Take the weights of `best.safetensors`."""


def optimiser_of(
    model: Iterable[nn.Parameter], proxies: Iterable[nn.Parameter], options: TrainingOptions
) -> torch.optim.AdamW:
    """AdamW over a model, and over proxies and the like, which learn `PROXY_LEARNING_RATE` times as fast."""
    groups = [{"params": list(model), "factor": 1.0}]
    if own := list(proxies):
        groups.append({"params": own, "factor": PROXY_LEARNING_RATE})
    return torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=options.weight_decay)
