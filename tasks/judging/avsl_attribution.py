"""Which pixels make two pictures similar for AVSL, from its own graph (arXiv 2203.14932; the spreading is our reading).

AVSL's distance is a weighted sum of all nodes' own differences. Unrolling `dhat^l = P^l delta^l + (1 - P^l)
(dhat^(l-1) w*)` from the last level L, where `D = sum_i dhat^L_i`:

    D = sum_l sum_i a^l_i delta^l_i,   a^l = u^l P^l,   u^L = 1,   u^(l-1) = w* ((1 - P^l) u^l),   P^1 = 1

so a^l_i is how far the pair's decision rests on node i of level l: on itself as far as its maps are certain, and on the
linked nodes below for the rest. With `delta = (e_q - e_s)^2 = e_q^2 + e_s^2 - 2 e_q e_s`, similarity is the last term:
node i of level l makes the pair similar by `a^l_i e_q,i e_s,i`. The query's activation map has the spatial mean
`|e| e_q,i`, |e| the length of the level's embedding before it was normalised, so the map carries that share exactly:

    M = sum_l resize(sum_i a^l_i e_s,i CAM^l_i / |e^l|),   mean(M) = sum_l sum_i a^l_i e_q,i e_s,i
                                                                    = (sum_l sum_i a^l_i (e_q,i^2 + e_s,i^2) - D) / 2
"""

import torch
from torch import Tensor

from tasks.judging.layer_head import at_picture_size
from tasks.metric.avsl_model import AVSLModel
from tasks.metric.avsl_similarity import Similarity, reliabilities, selected_links
from tasks.metric.model import normalise


@torch.no_grad()
def avsl_attribution(model: AVSLModel, query: Tensor, support: Tensor) -> Tensor:
    """The query's map M: where AVSL finds the two similar. No ReLU; larger: more responsible for the similarity.

    Args:
        model: trained, in evaluation mode.
        query: uint8 [n, 3, h, w].
        support: uint8 [n, 3, h, w].

    Returns:
        float32 [n, h, w], on the CPU. The spatial mean is as above where h and w are multiples of the levels' sizes.

    Raises:
        ValueError: shapes differ.
    """
    if query.shape != support.shape:
        raise ValueError(f"pairs need pictures of one shape; got {list(query.shape)} and {list(support.shape)}")
    device = next(model.parameters()).device
    embeddings, certain, maps = model(normalise(torch.cat([query, support]).to(device)))
    (own, other), (certain_own, certain_other) = embeddings.chunk(2), certain.chunk(2)
    shares = node_shares(model.similarity, certain_own, certain_other)
    total = torch.zeros(len(query), *query.shape[2:])
    for level, level_maps in enumerate(maps):
        queries = level_maps[: len(query)]
        length = queries.mean(dim=(2, 3)).norm(dim=1).clamp(min=torch.finfo(own.dtype).tiny)
        weights = shares[:, level] * other[:, level] / length[:, None]
        total += at_picture_size(torch.einsum("nd,ndhw->nhw", weights, queries), query)
    return total


@torch.no_grad()
def node_shares(similarity: Similarity, certain_query: Tensor, certain_support: Tensor) -> Tensor:
    """How far the distance of each pair rests on each node's own difference: `D = sum_l sum_i a^l_i delta^l_i`.

    Args:
        similarity: AVSL's.
        certain_query: float [n, l, d].
        certain_support: float [n, l, d], of the same pairs.

    Returns:
        a, [n, l, d], at least 0.
    """
    links = selected_links(similarity.links.to(certain_query.dtype))
    passed_down, shares = torch.ones_like(certain_query[:, 0]), []
    for level in range(certain_query.shape[1] - 1, 0, -1):
        both = certain_query[:, level] * certain_support[:, level]
        alpha, beta = similarity.alpha[level - 1], similarity.beta[level - 1]
        believed = reliabilities(both, torch.ones_like(both[:1]), alpha, beta)[:, 0]
        shares.append(passed_down * believed)
        passed_down = (passed_down * (1 - believed)) @ links[level - 1].T
    return torch.stack([passed_down, *reversed(shares)], dim=1)
