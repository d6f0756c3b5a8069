"""The network behind a layer as one of its own, and maps brought to the pictures' size."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.explanation.stages import stages_around
from tasks.metric.model import EmbeddingModel, normalise
from tasks.metric.trunks import flattened_stages


def last_layer(model: EmbeddingModel) -> str:
    """Name of the stage whose maps are pooled."""
    return flattened_stages(model.trunk)[-1][0]


def normalised(model: EmbeddingModel, pictures: Tensor) -> Tensor:
    """Pictures, uint8 [n, 3, h, w], to the model's input, float32 [n, 3, h, w], on its device.

    Never an inference tensor: gradients may follow.
    """
    with torch.inference_mode(False):
        return normalise(pictures.to(next(model.parameters()).device))


def embeddings_of(model: EmbeddingModel, pictures: Tensor) -> Tensor:
    """Embeddings in float32 throughout, without a gradient: uint8 [n, 3, h, w] -> [n, d], on the model's device."""
    with torch.inference_mode(False), torch.no_grad():
        return model(normalised(model, pictures))  # type: ignore[no-any-return]


class LayerHead(nn.Module):
    """From a layer's maps to the embeddings, as a network of its own: a frozen copy, so nothing happens to the model.

    Attributes:
        maps: where the layer's maps pass, for libraries that watch a module.
        model: the copy.
        unit: in which the maps come: they are multiplied by it, and gradients with respect to them grow with it.
    """

    def __init__(self, model: EmbeddingModel, layer: str, unit: float = 1.0) -> None:
        super().__init__()
        self.unit = unit
        self.maps = nn.Identity()
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._behind = stages_around(self.model, layer)[1]

    def forward(self, maps: Tensor) -> Tensor:
        """float [n, c, h', w'] -> [n, d]."""
        x = self.maps(maps) * self.unit  # a new tensor: stages after it may write in place
        for stage in self._behind:
            x = stage(x)
        return self.model.embed_features(x)


def at_picture_size(maps: Tensor, pictures: Tensor) -> Tensor:
    """Maps at the pictures' size, bilinear with `align_corners=False`; what is not a number becomes 0.

    Where the size is a multiple of the map's, the spatial mean stays as it is.

    Args:
        maps: float [n, h', w'].
        pictures: [n, 3, h, w].

    Returns:
        float32 [n, h, w], on the CPU.
    """
    size = (pictures.shape[2], pictures.shape[3])
    finite = maps.detach().float().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return functional.interpolate(finite[:, None], size, mode="bilinear", align_corners=False)[:, 0].cpu()
