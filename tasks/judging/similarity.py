"""What is measured while a query's pixels change: its similarity to a fixed support."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tasks.judging.avsl_attribution import node_shares
from tasks.metric.avsl_model import AVSLModel
from tasks.metric.model import EmbeddingModel, normalise
from tasks.mixed_precision import mixed_precision

FORWARD_BATCH = 256
# Normalised queries, float [n, 3, h, w], each to its similarities to its own support: float32 [n, k] on the CPU.
Scorer = Callable[[Tensor], Tensor]


def cosine_scorer(model: EmbeddingModel, support: Tensor, centre: Tensor | None = None) -> Scorer:
    """The cosine of the embeddings; where their mean is known, also that about it: what the two share beyond all.

    Args:
        model: in evaluation mode.
        support: uint8 [n, 3, h, w].
        centre: float [d], the mean embedding of the node's photos; without it there is one similarity, else two.
    """
    fixed = _in_batches(model, model, normalise(support))

    def score(queries: Tensor) -> Tensor:
        own = _in_batches(model, model, queries)
        taken = [torch.zeros_like(own[0]), *([] if centre is None else [centre])]
        return torch.stack([nn.functional.cosine_similarity(own - mean, fixed - mean) for mean in taken], dim=1)

    return score


def mean_embedding(model: EmbeddingModel, pictures: Tensor) -> Tensor:
    """The centre of some pictures, uint8 [n, 3, h, w], under a model: float32 [d]."""
    return _in_batches(model, model, normalise(pictures)).mean(dim=0)


def avsl_scorer(model: AVSLModel, support: Tensor) -> Scorer:
    """`1 - D / 2` of AVSL's distance D: the cosine, where every node of the last level is certain (our reading).

    Args:
        model: in evaluation mode.
        support: uint8 [n, 3, h, w].
    """

    def embedded(part: Tensor) -> Tensor:
        embeddings, certain, _ = model(part)
        return torch.stack([embeddings, certain], dim=1)

    similarity = copy.deepcopy(model.similarity).cpu()
    fixed, certain = _in_batches(model, embedded, normalise(support)).unbind(1)

    def score(queries: Tensor) -> Tensor:
        own, own_certain = _in_batches(model, embedded, queries).unbind(1)
        shares = node_shares(similarity, own_certain, certain)
        return 1 - (shares * (own - fixed).square()).sum(dim=(1, 2))[:, None] / 2

    return score


@torch.inference_mode()
def _in_batches(model: nn.Module, embed: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    device = next(model.parameters()).device
    with mixed_precision(device.type):
        return torch.cat([embed(part.to(device)).cpu() for part in torch.split(pictures, FORWARD_BATCH)])
