"""SFAM: which regions of two pictures make their embeddings similar (Liao et al., arXiv 2506.01636).

A channel-wise Contribution Importance Score (CIS) weighs the feature maps of a convolution; one map for each picture.
The papers give the abstract form only: the formulas are our reading.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tasks.metric.model import EmbeddingModel, normalise
from tasks.metric.trunks import flattened_stages

Metric = Literal["cosine", "euclidean"]
LEAST_MAP_EDGE = 6  # a coarser map shows no part of a picture


def contribution_importance_score(query: Tensor, support: Tensor, metric: Metric) -> Tensor:
    """CIS of pooled features, for a metric on those features themselves.

    Args:
        query: float [c], global average of the query's feature maps.
        support: float [c], of the support's.
        metric: "cosine": `q_k s_k / (|q| |s|)`; they sum to the cosine. "euclidean": `exp(-d_k / mean(d))` with
            `d_k = (q_k - s_k)^2`; in (0, 1], and 1 where the features are equal.

    Returns:
        float [c].

    Raises:
        ValueError: shapes differ, or the metric is unknown.
    """
    if query.ndim != 1 or query.shape != support.shape:
        raise ValueError(f"the score needs query and support [c]; got {list(query.shape)} and {list(support.shape)}")
    if metric == "cosine":
        norms = query.norm() * support.norm()
        return query * support / norms if norms > 0 else torch.zeros_like(query)
    if metric == "euclidean":
        difference = (query - support).square()
        mean = difference.mean()
        return torch.exp(-difference / mean) if mean > 0 else torch.ones_like(query)
    raise ValueError(f"unknown metric {metric!r}: one of cosine, euclidean")


def similar_feature_activation_map(feature_map: Tensor, scores: Tensor) -> Tensor:
    """SFAM: `ReLU(sum_k CIS_k A_k)`.

    Args:
        feature_map: float [c, h, w].
        scores: float [c].

    Returns:
        float [h, w], >= 0.

    Raises:
        ValueError: the numbers of channels differ.
    """
    if feature_map.ndim != 3 or scores.shape != feature_map.shape[:1]:
        raise ValueError(f"SFAM needs maps [c,h,w], scores [c]; got {list(feature_map.shape)}, {list(scores.shape)}")
    return torch.einsum("k,khw->hw", scores, feature_map).relu()


@dataclass(frozen=True, kw_only=True)
class PairMaps:
    """The maps of pairs of pictures, and what they were computed from.

    Attributes:
        query: float32 [n, h, w], SFAM of the queries at the explained layer's size, >= 0.
        support: float32 [n, h, w], of the supports.
        query_scores: float32 [n, c], CIS of the queries.
        support_scores: float32 [n, c].
        cosine: float32 [n], of the embeddings.
        bias_share: float32 [n, 2], `1 - sum_k CIS_k / cos` for queries and supports: the share of the cosine that
            comes from biases behind the explained layer; NaN where the cosine is 0.
        embeddings: float32 [2, n, d], of queries and supports.
        layer: name of the explained layer.
    """

    query: Tensor
    support: Tensor
    query_scores: Tensor
    support_scores: Tensor
    cosine: Tensor
    bias_share: Tensor
    embeddings: Tensor
    layer: str


def explained_layer(model: EmbeddingModel, size: int) -> str:
    """The deepest stage whose map is at least 6 x 6 at this input size; the first one if none is.

    Args:
        model: in evaluation mode.
        size: edge of the square pictures, pixels.
    """
    device = next(model.parameters()).device
    x, chosen = torch.zeros(1, 3, size, size, device=device), ""
    with torch.inference_mode():
        for name, stage in flattened_stages(model.trunk):
            x = stage(x)
            if not chosen or min(x.shape[2:]) >= LEAST_MAP_EDGE:
                chosen = name
    return chosen


def explain_pairs(model: EmbeddingModel, query: Tensor, support: Tensor, layer: str | None = None) -> PairMaps:
    """SFAM of pairs of pictures under a node's model, aware of its embedder (cosine form).

    `CIS_k = sum_ij A_kij g_kij / (|e_q| |e_s|)` with `g = d(e_q . e_s) / dA` and `e_s` held fixed: one backward pass
    from the embedding down to the explained layer. For the last layer this is `q_k d(e_q . e_s)/dq_k` over the norms;
    without an embedder it is the cosine CIS. For a ReLU network behind the layer, the scores and the share of the
    biases sum to the cosine.

    Args:
        model: the node's model, in evaluation mode.
        query: uint8 [n, 3, h, w], composed pictures.
        support: uint8 [n, 3, h, w].
        layer: name of the stage to explain; None for `explained_layer`.

    Raises:
        ValueError: shapes differ, or there is no such layer.
    """
    if query.shape != support.shape:
        raise ValueError(f"pairs need pictures of one shape; got {list(query.shape)} and {list(support.shape)}")
    with torch.inference_mode(False), torch.enable_grad():
        return _explain_pairs(model, query, support, layer or explained_layer(model, query.shape[-1]))


def _explain_pairs(model: EmbeddingModel, query: Tensor, support: Tensor, layer: str) -> PairMaps:
    features, embeddings = features_and_embeddings(model, torch.cat([query, support]), layer)
    a, b = embeddings.chunk(2)
    scores = scores_against(features, embeddings, torch.cat([b, a]).detach())
    maps = torch.einsum("nk,nkhw->nhw", scores, features).relu().detach()
    cosine = torch.nn.functional.cosine_similarity(a, b).detach()
    bias_share = torch.stack([1 - part.sum(dim=1) / cosine for part in scores.chunk(2)], dim=1)
    return PairMaps(
        query=maps.chunk(2)[0],
        support=maps.chunk(2)[1],
        query_scores=scores.chunk(2)[0],
        support_scores=scores.chunk(2)[1],
        cosine=cosine,
        bias_share=torch.where(torch.isfinite(bias_share), bias_share, torch.nan),
        embeddings=torch.stack([a, b]).detach(),
        layer=layer,
    )


def to_picture_size(maps: Tensor, size: int) -> Tensor:
    """Maps for display: bilinear to the input size, then each scaled to [0, 1] by its own minimum and maximum.

    Args:
        maps: float [n, h, w].
        size: edge of the square pictures, pixels.

    Returns:
        float [n, size, size]; a constant map becomes 0.
    """
    resized = nn.functional.interpolate(maps[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]
    low, high = resized.amin(dim=(1, 2), keepdim=True), resized.amax(dim=(1, 2), keepdim=True)
    return (resized - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


def scores_against(features: Tensor, embeddings: Tensor, targets: Tensor) -> Tensor:
    """CIS of pictures, each against an embedding that is held fixed.

    Args:
        features: float [n, c, h, w], of `features_and_embeddings`.
        embeddings: float [n, d], of the same call.
        targets: float [n, d], without a gradient.

    Returns:
        float [n, c].
    """
    norms = embeddings.norm(dim=1) * targets.norm(dim=1)
    gradients = torch.autograd.grad((embeddings * targets).sum(), features)[0]
    scores = (features * gradients).sum(dim=(2, 3)) / norms.clamp(min=torch.finfo(norms.dtype).tiny)[:, None]
    detached: Tensor = scores.detach()
    return detached


def features_and_embeddings(model: EmbeddingModel, pictures: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """The layer's maps, as the start of a new graph, and the embeddings behind them; gradients have to be on.

    Args:
        model: the node's model, in evaluation mode.
        pictures: uint8 [n, 3, h, w], composed pictures.
        layer: name of the stage.

    Returns:
        float32 [n, c, h', w'] and [n, d].

    Raises:
        ValueError: there is no such layer.
    """
    names = [name for name, _ in flattened_stages(model.trunk)]
    if layer not in names:
        raise ValueError(f"the trunk has no stage {layer!r}: one of {', '.join(names)}")
    x = normalise(pictures.to(next(model.parameters()).device))
    features = x
    for name, stage in flattened_stages(model.trunk):
        if name == layer:
            with torch.no_grad():
                features = stage(x)
            features = features.detach().requires_grad_()
            x = features.clone()  # stages after it may write in place
        elif features.requires_grad:
            x = stage(x)
        else:
            with torch.no_grad():
                x = stage(x)
    return features, model.embed_features(x)
