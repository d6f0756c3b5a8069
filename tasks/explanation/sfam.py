"""SFAM: which regions of two pictures make their embeddings similar (Liao et al., arXiv 2506.01636).

A channel-wise Contribution Importance Score (CIS) weighs the feature maps of a convolution; one map for each picture.
Here the scores know the embedder behind the trunk (our reading); `feature_sfam` has those on the trunk's features
alone.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from tasks.explanation.stages import stages_around
from tasks.metric.distances import OwnDistance
from tasks.metric.model import EmbeddingModel, normalise
from tasks.metric.trunks import flattened_stages

Similarity = Literal["cosine", "snr"]
LEAST_MAP_EDGE = 6  # a coarser map shows no part of a picture


@dataclass(frozen=True, kw_only=True)
class PairMaps:
    """The maps of pairs of pictures, and what they were computed from.

    Attributes:
        query: float32 [n, h, w], SFAM of the queries at the explained layer's size, >= 0.
        support: float32 [n, h, w], of the supports.
        query_conserving: float32 [n, h, w], of either sign: the spatial mean is the sum of the scores. For what is
            added up.
        support_conserving: float32 [n, h, w].
        query_scores: float32 [n, c], CIS of the queries.
        support_scores: float32 [n, c].
        similarity: float32 [n], the explained similarity of the embeddings, in [-1, 1].
        bias_share: float32 [n, 2], `1 - sum_k CIS_k / similarity` for queries and supports: the share of it that comes
            from biases behind the explained layer; NaN where the similarity is 0.
        embeddings: float32 [2, n, d], of queries and supports.
        layer: name of the explained layer.
    """

    query: Tensor
    support: Tensor
    query_conserving: Tensor
    support_conserving: Tensor
    query_scores: Tensor
    support_scores: Tensor
    similarity: Tensor
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


def similarity_of(own_distance: OwnDistance) -> Similarity:
    """Which similarity a node's maps explain, by the node's own distance.

    On L2-normalised embeddings the squared Euclidean distance is `2 - 2 cos`, so its maps are those of the cosine.
    """
    return "snr" if own_distance == "snr" else "cosine"


def explain_pairs(
    model: EmbeddingModel,
    query: Tensor,
    support: Tensor,
    layer: str | None = None,
    similarity: Similarity = "cosine",
    centre: Tensor | None = None,
) -> PairMaps:
    """SFAM of pairs of pictures under a node's model, aware of its embedder.

    Both similarities are a linear form of the query's embedding, `s = t . e_q`, once its own length and spread are
    held fixed as the support is: `t = e_s / (|e_q| |e_s|)` for the cosine, and for SNR
    `t = 2 (y - mean y) / (d |e_q| (var x + var y))` with `x, y` the L2-normalised embeddings: `1 - 2 d_sym`, 1 minus
    twice the bounded SNR distance. Then `CIS_k = sum_ij A_kij g_kij` with `g = d(t . e_q) / dA`: one backward pass from
    the embedding down to the explained layer. For the last layer this is `q_k ds/dq_k`, and no gradient passes through
    the trunk; without an embedder it is the cosine CIS. For a ReLU network behind the layer, the scores and the share
    of the biases sum to the similarity. The conserving map is `h w sum_k A_k g_k`, without the ReLU.

    Args:
        model: the node's model, in evaluation mode.
        query: uint8 [n, 3, h, w], composed pictures.
        support: uint8 [n, 3, h, w].
        layer: name of the stage to explain; None for `explained_layer`.
        similarity: "cosine" or "snr".
        centre: float [d], taken from both embeddings first, such as the mean over the node's photos: then the maps
            explain what the two share beyond what all photos share. None takes nothing.

    Raises:
        ValueError: shapes differ, there is no such layer, or the similarity is unknown.
    """
    if query.shape != support.shape:
        raise ValueError(f"pairs need pictures of one shape; got {list(query.shape)} and {list(support.shape)}")
    with torch.inference_mode(False), torch.enable_grad():
        return _explain_pairs(
            model, query, support, layer or explained_layer(model, query.shape[-1]), similarity, centre
        )


def _explain_pairs(
    model: EmbeddingModel, query: Tensor, support: Tensor, layer: str, similarity: Similarity, centre: Tensor | None
) -> PairMaps:
    features, embeddings = features_and_embeddings(model, torch.cat([query, support]), layer)
    own = embeddings.detach()
    # Each half is differentiated with the other held fixed; rows do not see each other.
    found = contributions(features, embeddings, torch.cat(own.chunk(2)[::-1]), similarity, centre)
    bias_share = torch.stack((1 - found.scores.sum(dim=1) / found.similarity).chunk(2), dim=1)
    n = len(query)
    return PairMaps(
        query=found.maps[:n],
        support=found.maps[n:],
        query_conserving=found.conserving[:n],
        support_conserving=found.conserving[n:],
        query_scores=found.scores[:n],
        support_scores=found.scores[n:],
        similarity=found.similarity[:n],
        bias_share=torch.where(torch.isfinite(bias_share), bias_share, torch.nan),
        embeddings=torch.stack(own.chunk(2)),
        layer=layer,
    )


def _linear_form(own: Tensor, other: Tensor, similarity: Similarity) -> Tensor:
    """`t` of each row, float [n, d], such that `t . own` is the similarity; 0 where that is not defined."""
    lengths = own.norm(dim=1, keepdim=True)
    x, y = nn.functional.normalize(own, dim=1), nn.functional.normalize(other, dim=1)
    if similarity == "cosine":
        form = y / lengths
    elif similarity == "snr":
        variances = x.var(dim=1, correction=0, keepdim=True) + y.var(dim=1, correction=0, keepdim=True)
        form = 2 * (y - y.mean(dim=1, keepdim=True)) / (own.shape[1] * lengths * variances)
    else:
        raise ValueError(f"unknown similarity {similarity!r}: one of cosine, snr")
    return torch.where(torch.isfinite(form), form, 0)


def to_picture_size(maps: Tensor, size: int) -> Tensor:
    """Maps for display: bilinear to the input size, then each scaled to [0, 1] by its own minimum and maximum.

    Args:
        maps: float [n, h, w].
        size: edge of the square pictures, pixels.

    Returns:
        float [n, size, size]; a constant map becomes 0.
    """
    return to_unit_range(nn.functional.interpolate(maps[:, None], (size, size), mode="bilinear")[:, 0])


def to_unit_range(maps: Tensor) -> Tensor:
    """Each map, float [n, h, w], scaled to [0, 1] by its own minimum and maximum; a constant map becomes 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


class Contributions(NamedTuple):
    """What pictures' channels and places contribute to the similarity to their targets.

    Attributes:
        scores: float [n, c], CIS.
        maps: float [n, h, w], SFAM, >= 0.
        conserving: float [n, h, w], of either sign; the spatial mean is the sum of the scores.
        similarity: float [n].
    """

    scores: Tensor
    maps: Tensor
    conserving: Tensor
    similarity: Tensor


def contributions(
    features: Tensor,
    embeddings: Tensor,
    targets: Tensor,
    similarity: Similarity = "cosine",
    centre: Tensor | None = None,
) -> Contributions:
    """SFAM of pictures, each against an embedding that is held fixed.

    Args:
        features: float [n, c, h, w], of `features_and_embeddings`.
        embeddings: float [n, d], of the same call.
        targets: float [n, d], without a gradient.
        similarity: "cosine" or "snr".
        centre: float [d], taken from embeddings and targets first; None takes nothing.

    Raises:
        ValueError: the similarity is unknown.
    """
    if centre is not None:
        centre = centre.to(embeddings).clone()  # a copy: what `embed` gives cannot take part in a gradient
        embeddings, targets = embeddings - centre, targets - centre
    values = (embeddings * _linear_form(embeddings.detach(), targets, similarity)).sum(dim=1)
    gradients = torch.autograd.grad(values.sum(), features)[0]
    parts = (features * gradients).detach()
    scores = parts.sum(dim=(2, 3))
    return Contributions(
        scores=scores,
        maps=torch.einsum("nk,nkhw->nhw", scores, features.detach()).relu(),
        conserving=parts.sum(dim=1) * parts[0, 0].numel(),
        similarity=values.detach(),
    )


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
    before, behind = stages_around(model, layer)
    x = normalise(pictures.to(next(model.parameters()).device))
    with torch.no_grad():
        for stage in before:
            x = stage(x)
    features = x.detach().requires_grad_()
    x = features.clone()  # stages after it may write in place
    for stage in behind:
        x = stage(x)
    return features, model.embed_features(x)
