"""Embeddings of many changed pictures, in batches."""

import torch
from torch import Tensor

from tasks.metric.model import EmbeddingModel, mixed_precision

FORWARD_BATCH = 256


@torch.inference_mode()
def embed_pictures(model: EmbeddingModel, pictures: Tensor) -> Tensor:
    """Normalised pictures, float [n, 3, h, w], to embeddings, float32 [n, d], on the CPU.

    Args:
        model: in evaluation mode.
        pictures: on any device.
    """
    device = next(model.parameters()).device
    with mixed_precision(device.type):
        return torch.cat([model(part.to(device)).cpu() for part in torch.split(pictures, FORWARD_BATCH)])
