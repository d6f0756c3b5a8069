"""CAM without classes: the support's pooled features stand for the class weights (Stylianou et al., WACV 2019)."""

from torch import Tensor

from tasks.explanation.feature_sfam import conserving_map, layer_features
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import at_picture_size
from tasks.metric.model import EmbeddingModel


def class_activation_map(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """`sum_k s_k A^Q_k / (|q| |s|)`, q and s the layer's features under global average pooling; no ReLU.

    CAM (Zhou et al., CVPR 2016) weighs the maps with the weights of a class, for a head that is linear in pooled
    features. The cosine of pooled features is linear in q but for its norm, with the weights `s / (|q| |s|)`: the map's
    spatial mean is `cos(q, s)` exactly. The embedder is left out, and so is what comes after the layer.

    Args and returns: as `Attribution.attribute`.
    """
    query, support = (layer_features(model, pictures, layer) for pictures in (pairs.query, pairs.support))
    return at_picture_size(conserving_map(query, support.mean(dim=(2, 3))), pairs.query)
