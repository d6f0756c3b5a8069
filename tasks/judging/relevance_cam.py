"""Relevance-CAM (Lee et al., CVPR 2021) by a similarity target: channel weights from layer-wise relevance propagation.

Symbols: q, the last maps under global average pooling; x, the embedder's hidden values; e_q, e_s, the embeddings.
"""

import torch
from torch import Tensor, nn

from tasks.explanation.feature_sfam import layer_features
from tasks.explanation.stages import stages_around
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import at_picture_size, embeddings_of, last_layer
from tasks.metric.model import EmbeddingModel


def relevance_cam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """`sum_k mean_ij(R_kij) A_kij` of the trunk's last maps A, R their relevance for the cosine; no ReLU, as published.

    The last stage is explained whichever is asked for: relevance is propagated through the embedder and the pooling
    only, because rules for all of a trunk's blocks are not ours to write. Pooling shares a channel's relevance out in
    proportion to A, and the mean takes it back: `mean_ij R_kij = R_k / (h w)`, R_k from `feature_relevance`. The
    published start sets other classes against the target's; a similarity has no others.

    Args and returns: as `Attribution.attribute`.
    """
    stages_around(model, layer)  # a stage that is not there is refused here as elsewhere
    maps = layer_features(model, pairs.query, last_layer(model))
    relevance = feature_relevance(model, maps.mean(dim=(2, 3)), embeddings_of(model, pairs.support))
    weights = relevance / (maps.shape[2] * maps.shape[3])
    return at_picture_size(torch.einsum("nk,nkhw->nhw", weights, maps), pairs.query)


@torch.no_grad()
def feature_relevance(model: EmbeddingModel, pooled: Tensor, support: Tensor) -> Tensor:
    """The relevance R_k of each pooled feature for the cosine of the embeddings.

    It starts as `R_d = e_q,d e_s,d / (|e_q| |e_s|)`, whose sum is the cosine.

    * Last linear layer W, b, with the epsilon rule, epsilon to 0: `R_j = sum_d x_j W_dj / e_q,d R_d`, which is
      `x_j sum_d W_dj e_s,d / (|e_q| |e_s|)`. The sign stays, and the bias takes `b . e_s / (|e_q| |e_s|)`.
    * Layers before it, with BatchNorm folded into them, with the z-plus rule that the published code uses:
      `R_k = sum_j (x_k W_jk)^+ / sum_k' (x_k' W_jk')^+ R_j`. It conserves relevance, and biases take none.

    With the epsilon rule throughout, a ReLU network's relevance is gradient times input: SFAM's CIS.

    Args:
        model: its embedder is of Linear, BatchNorm1d and ReLU; without layers R_k is `q_k e_s,k / (|q| |e_s|)`.
        pooled: float [n, c], q.
        support: float [n, d], e_s.

    Returns:
        float [n, c]; sums to the cosine less the last bias's part, where each hidden unit that is at work has a
        positive contribution.

    Raises:
        ValueError: the embedder has a layer of another kind.
    """
    layers = linear_layers(model.embedder)
    inputs: list[Tensor] = []
    x = pooled
    for number, (weight, bias) in enumerate(layers):
        inputs.append(x.relu() if number else x)
        x = inputs[-1] @ weight.T + bias
    directions: Tensor = support / (x.norm(dim=1) * support.norm(dim=1)).clamp(min=torch.finfo(x.dtype).tiny)[:, None]
    if not layers:
        return pooled * directions
    relevance: Tensor = inputs[-1] * (directions @ layers[-1][0])
    for (weight, _), own in zip(reversed(layers[:-1]), reversed(inputs[:-1]), strict=True):
        relevance = _z_plus(relevance, own, weight)
    return relevance


def _z_plus(relevance: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    """Relevance of a layer's outputs, [n, out], to that of its inputs, [n, in], in proportion to what raises them."""
    raised, lowered = (inputs.clamp(min=0), weight.clamp(min=0)), (inputs.clamp(max=0), weight.clamp(max=0))
    total = raised[0] @ raised[1].T + lowered[0] @ lowered[1].T
    share = torch.where(total > 0, relevance / total, total.new_zeros(()))
    passed: Tensor = raised[0] * (share @ raised[1]) + lowered[0] * (share @ lowered[1])
    return passed


def linear_layers(embedder: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Weight, [out, in], and bias, [out], of each linear layer, evaluation-mode BatchNorm1d folded in; ReLU between.

    Raises:
        ValueError: the embedder has a layer of another kind.
    """
    layers: list[tuple[Tensor, Tensor]] = []
    for module in embedder if isinstance(embedder, nn.Sequential) else [embedder]:
        if isinstance(module, nn.Linear):
            bias = module.weight.new_zeros(module.out_features) if module.bias is None else module.bias
            layers.append((module.weight, bias))
        elif isinstance(module, nn.BatchNorm1d) and layers and module.running_mean is not None:
            assert module.running_var is not None
            scale = module.weight / (module.running_var + module.eps).sqrt()
            weights, biases = layers[-1]
            layers[-1] = scale[:, None] * weights, scale * (biases - module.running_mean) + module.bias
        elif not isinstance(module, nn.ReLU | nn.Identity):
            raise ValueError(
                "relevance is propagated through embedders of Linear, each perhaps with BatchNorm1d, and ReLU; "
                f"got a {type(module).__name__}"
            )
    return layers
