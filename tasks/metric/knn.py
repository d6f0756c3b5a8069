"""Balanced accuracy of a nearest-neighbour vote: comparable where labels are unequally frequent (our reading)."""

import torch
from torch import Tensor

from tasks.metric.precision import precision_per_query

NEIGHBOURS = 8


def balanced_knn_accuracy(distances: Tensor, labels: Tensor, k: int = NEIGHBOURS) -> float | None:
    """Mean over the labels of the share of its images that their K nearest others vote for rightly.

    Votes that tie, and neighbours at one distance, count by expectation.

    Args:
        distances: float [n, n], images queried against each other, self excluded.
        labels: int64 [n].
        k: number of neighbours.

    Returns:
        In [0, 1], 1 / labels by chance; None for n <= K.
    """
    if len(labels) <= k:
        return None
    names, own = torch.unique(labels, return_inverse=True)
    votes = torch.stack(
        [precision_per_query(distances, torch.full_like(labels, int(name)), labels, k, True) for name in names]
    )
    winners = votes == votes.amax(dim=0)
    right = winners[own, torch.arange(len(labels))].double() / winners.sum(dim=0)
    return float(torch.stack([right[labels == name].mean() for name in names]).mean())
