"""SFAM as attributions of the query: aware of the embedder, and on the explained layer's pooled features alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from tasks.explanation.sfam import (
    Metric,
    contribution_importance_score,
    explain_pairs,
    similar_feature_activation_map,
)
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_maps import at_picture_size, layer_maps
from tasks.metric.model import EmbeddingModel


def sfam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """SFAM, aware of the embedder (`explain_pairs`): the query's map.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(explain_pairs(model, pairs.query, pairs.support, layer).query, pairs.query)


def sfam_of_features(metric: Metric) -> Callable[[EmbeddingModel, PairBatch, str], Tensor]:
    """SFAM with the CIS of the explained layer's pooled features, as the paper has it for a network without embedder.

    What comes after the layer counts for nothing.

    Args:
        metric: "cosine" or "euclidean".

    Returns:
        An `Attribution.attribute`.
    """

    def attribute(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
        query, support = (layer_maps(model, pictures, layer) for pictures in (pairs.query, pairs.support))
        maps = [
            similar_feature_activation_map(own, contribution_importance_score(own_pooled, other_pooled, metric))
            for own, own_pooled, other_pooled in zip(
                query, query.mean(dim=(2, 3)), support.mean(dim=(2, 3)), strict=True
            )
        ]
        return at_picture_size(torch.stack(maps), pairs.query)

    return attribute
