"""SFAM on the trunk's features alone, as the paper has it: no embedder is taken into account.

The papers give the abstract form only: the formulas are our reading. `q` and `s` are the global averages of the query's
and the support's feature maps `A^Q` and `A^S`.
"""

from typing import Literal

import torch
from torch import Tensor

from tasks.explanation.sfam import explained_layer
from tasks.explanation.stages import stages_around
from tasks.metric.model import EmbeddingModel, normalise

FeatureMetric = Literal["cosine", "euclidean", "snr"]


def contribution_importance_score(query: Tensor, support: Tensor, metric: FeatureMetric) -> Tensor:
    """CIS of pooled features.

    * "cosine": `q_k s_k / (|q| |s|)`; they sum to the cosine.
    * "euclidean": `exp(-d_k / mean(d))` with `d_k = (q_k - s_k)^2`; in (0, 1], and 1 where the features are equal.
    * "snr": the same of `d_k = ((q - s)_k - mean(q - s))^2 / (c var q)`, which sum to the SNR distance of q and s. The
      factor is one for all channels and cancels: where q has no variance the scores are still defined.

    Args:
        query: float [n, c], global average of the query's feature maps.
        support: float [n, c], of the support's.
        metric: which.

    Returns:
        float [n, c].

    Raises:
        ValueError: shapes differ, or the metric is unknown.
    """
    if query.ndim != 2 or query.shape != support.shape:
        raise ValueError(f"the score needs query and support [n,c]; got {list(query.shape)} and {list(support.shape)}")
    if metric == "cosine":
        norms = query.norm(dim=1, keepdim=True) * support.norm(dim=1, keepdim=True)
        return torch.where(norms > 0, query * support / norms, 0)
    difference = query - support
    if metric == "snr":
        difference = difference - difference.mean(dim=1, keepdim=True)
    elif metric != "euclidean":
        raise ValueError(f"unknown metric {metric!r}: one of cosine, euclidean, snr")
    squares = difference.square()
    mean = squares.mean(dim=1, keepdim=True)
    return torch.where(mean > 0, torch.exp(-squares / mean), 1)


def similar_feature_activation_map(feature_maps: Tensor, scores: Tensor) -> Tensor:
    """SFAM: `ReLU(sum_k CIS_k A_k)`.

    Args:
        feature_maps: float [n, c, h, w].
        scores: float [n, c].

    Returns:
        float [n, h, w], >= 0.

    Raises:
        ValueError: the numbers of pictures or channels differ.
    """
    _check(feature_maps, scores)
    return torch.einsum("nk,nkhw->nhw", scores, feature_maps).relu()


def conserving_map(feature_maps: Tensor, other: Tensor) -> Tensor:
    """`sum_k s_k A_k / (|q| |s|)` (Stylianou et al. 2019), before resizing: its spatial mean is exactly `cos(q, s)`.

    It is also CAM with the support's features as the classifier's weights.

    Args:
        feature_maps: float [n, c, h, w], of one picture of each pair.
        other: float [n, c], the other one's pooled features.

    Returns:
        float [n, h, w], of either sign; 0 where a picture has no features.

    Raises:
        ValueError: the numbers of pictures or channels differ.
    """
    _check(feature_maps, other)
    norms = (feature_maps.mean(dim=(2, 3)).norm(dim=1) * other.norm(dim=1))[:, None, None]
    return torch.where(norms > 0, torch.einsum("nk,nkhw->nhw", other, feature_maps) / norms, 0)


def layer_features(model: EmbeddingModel, pictures: Tensor, layer: str) -> Tensor:
    """Feature maps of a stage, without a gradient.

    Args:
        model: in evaluation mode.
        pictures: uint8 [n, 3, h, w].
        layer: the stage's name.

    Returns:
        float32 [n, c, h', w'], on the model's device.

    Raises:
        ValueError: the trunk has no such stage.
    """
    stages, _ = stages_around(model, layer)
    # Never an inference tensor: a gradient may be taken of what is made from it.
    with torch.inference_mode(False), torch.no_grad():
        x = normalise(pictures.to(next(model.parameters()).device))
        for stage in stages:
            x = stage(x)
    return x


def explain_features(
    model: EmbeddingModel, query: Tensor, support: Tensor, metric: FeatureMetric, layer: str | None = None
) -> Tensor:
    """SFAM of the queries of pairs on the features of a layer; nothing is differentiated.

    The supports' maps come of exchanged roles; the SNR's scores are the same then, as the signal's variance cancels.

    Args:
        model: in evaluation mode; its embedder is not used.
        query: uint8 [n, 3, h, w].
        support: uint8 [n, 3, h, w].
        metric: which score.
        layer: name of the stage; None for `explained_layer`.

    Returns:
        float32 [n, h', w'], at the layer's size, on the model's device; >= 0.

    Raises:
        ValueError: shapes differ, there is no such layer, or the metric is unknown.
    """
    if query.shape != support.shape:
        raise ValueError(f"pairs need pictures of one shape; got {list(query.shape)} and {list(support.shape)}")
    layer = layer or explained_layer(model, query.shape[-1])
    a, b = layer_features(model, torch.cat([query, support]), layer).chunk(2)
    q, s = a.mean(dim=(2, 3)), b.mean(dim=(2, 3))
    return similar_feature_activation_map(a, contribution_importance_score(q, s, metric))


def _check(feature_maps: Tensor, weights: Tensor) -> None:
    if feature_maps.ndim != 4 or weights.shape != feature_maps.shape[:2]:
        raise ValueError(
            f"a map needs features [n,c,h,w], weights [n,c]; got {list(feature_maps.shape)}, {list(weights.shape)}"
        )
