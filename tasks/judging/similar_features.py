"""SFAM as attributions of the query: aware of the embedder, and on the explained layer's pooled features alone."""

from collections.abc import Callable

from torch import Tensor

from tasks.explanation.feature_sfam import FeatureMetric, explain_features
from tasks.explanation.sfam import explain_pairs
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import at_picture_size
from tasks.metric.model import EmbeddingModel


def sfam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """SFAM, aware of the embedder (`explain_pairs`): the query's map.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(explain_pairs(model, pairs.query, pairs.support, layer).query, pairs.query)


def sfam_of_features(metric: FeatureMetric) -> Callable[[EmbeddingModel, PairBatch, str], Tensor]:
    """SFAM with the CIS of the explained layer's pooled features, as the paper has it for a network without embedder.

    What comes after the layer counts for nothing.

    Args:
        metric: "cosine", "euclidean" or "snr".

    Returns:
        An `Attribution.attribute`.
    """

    def attribute(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
        return at_picture_size(explain_features(model, pairs.query, pairs.support, metric, layer).query, pairs.query)

    return attribute
