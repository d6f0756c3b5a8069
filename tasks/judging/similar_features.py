"""SFAM as attributions of the query: aware of the embedder, and on the explained layer's pooled features alone."""

from collections.abc import Callable

from torch import Tensor

from tasks.explanation.feature_sfam import FeatureMetric, explain_features
from tasks.explanation.sfam import PairMaps, explain_pairs
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import at_picture_size
from tasks.metric.model import EmbeddingModel


def sfam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """SFAM, aware of the embedder (`explain_pairs`): the query's map.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(explain_pairs(model, pairs.query, pairs.support, layer).query, pairs.query)


def sfam_conserving(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """The conserving variant, place by place: `h w sum_k A_kij g_kij`, of either sign.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(explain_pairs(model, pairs.query, pairs.support, layer).query_conserving, pairs.query)


def sfam_centred(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """SFAM of the cosine about the mean embedding: of what the two share beyond what all photos share (our reading).

    A triplet loss leaves the embeddings of all photos near one another: their common part is most of every cosine, and
    a map of the plain cosine is mostly a map of it.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(_centred(model, pairs, layer).query, pairs.query)


def sfam_centred_conserving(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """The conserving variant of the cosine about the mean embedding.

    Args and returns: as `Attribution.attribute`.
    """
    return at_picture_size(_centred(model, pairs, layer).query_conserving, pairs.query)


def _centred(model: EmbeddingModel, pairs: PairBatch, layer: str) -> PairMaps:
    if pairs.centre is None:
        raise ValueError("a map about the mean embedding needs pairs with a centre; got none")
    return explain_pairs(model, pairs.query, pairs.support, layer, centre=pairs.centre)


def sfam_of_features(metric: FeatureMetric) -> Callable[[EmbeddingModel, PairBatch, str], Tensor]:
    """SFAM with the CIS of the explained layer's pooled features, as the paper has it for a network without embedder.

    What comes after the layer counts for nothing.

    Args:
        metric: "cosine", "euclidean" or "snr".

    Returns:
        An `Attribution.attribute`.
    """

    def attribute(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
        return at_picture_size(explain_features(model, pairs.query, pairs.support, metric, layer), pairs.query)

    return attribute
