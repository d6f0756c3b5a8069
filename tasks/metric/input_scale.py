"""From the colours that all our models get to those that a trunk's weights were trained on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputScale(nn.Module):
    """ImageNet-normalised pictures to what the trunk's weights were trained on; kept with the weights.

    Args:
        mean: of each channel, with values in 0..1, that the weights' pictures were normalised with.
        std: likewise. By default both are ImageNet's: pictures stay as they are.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        own_mean, own_std, imagenet_mean, imagenet_std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std, IMAGENET_MEAN, IMAGENET_STD)
        )
        # Undo the mean and standard deviation of ImageNet, then take the weights' own.
        self.register_buffer("scale", imagenet_std / own_std)
        self.register_buffer("shift", (imagenet_mean - own_mean) / own_std)

    def forward(self, pictures: Tensor) -> Tensor:
        """Float [n, 3, h, w] to the same."""
        return pictures * self.scale + self.shift

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Weights from elsewhere have no scale of their own: they are taken as trained on normalised pictures.
        for name, tensor in self.state_dict().items():
            state.setdefault(f"{prefix}{name}", tensor)
        super()._load_from_state_dict(state, prefix, *rest)
