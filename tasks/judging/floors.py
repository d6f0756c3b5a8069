"""Floors: maps that know nothing of the pair, or nothing of the similarity. What explains must beat them."""

import hashlib

import torch
from torch import Tensor

from tasks.explanation.feature_sfam import layer_features
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import at_picture_size
from tasks.metric.model import EmbeddingModel

GAUSSIAN_SHARE = 4  # the Gaussian's standard deviation is a quarter of the picture's edge: faces and objects fill that


def activation_sum(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """`sum_k A^Q_k`: where the layer is active at all.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(layer_features(model, pairs.query, layer).sum(dim=1), pairs.query)


def centred_gaussian(_model: EmbeddingModel, pairs: PairBatch, _layer: str) -> Tensor:
    """A Gaussian about the picture's centre: photos show their subject in the middle.

    Args and returns: as `Attribution.attribute`; in (0, 1], the same for all pictures.
    """
    count, _, height, width = pairs.query.shape
    column, row = (
        torch.exp(-((torch.arange(edge) - (edge - 1) / 2) * GAUSSIAN_SHARE / edge).square() / 2)
        for edge in (height, width)
    )
    return torch.outer(column, row).expand(count, height, width).contiguous()


def random_map(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """Uniform noise as coarse as the layer's maps: finer noise would be judged by its grain.

    It is drawn from the seed and the pair's own pixels, so that it does not depend on the pairs beside it.

    Args and returns: as `Attribution.attribute`; in [0, 1].
    """
    height, width = layer_features(model, pairs.query[:1], layer).shape[2:]
    noise = [
        torch.rand(height, width, generator=torch.Generator().manual_seed(_own_seed(pairs.seed, query, support)))
        for query, support in zip(pairs.query.cpu(), pairs.support.cpu(), strict=True)
    ]
    return at_picture_size(torch.stack(noise), pairs.query)


def _own_seed(seed: int, query: Tensor, support: Tensor) -> int:
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8)
    for picture in (query, support):
        digest.update(picture.numpy().tobytes())
    return int.from_bytes(digest.digest(), "big") >> 1  # torch takes 63 bits without a sign
