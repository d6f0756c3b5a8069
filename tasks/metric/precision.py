"""Precision@K: the mean share of a query's K nearest references that have its label (HEML section 1.5)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS_AT_ONCE = 1024


def precision_per_query(
    distances: Tensor, query_labels: Tensor, reference_labels: Tensor, k: int, exclude_self: bool = False
) -> Tensor:
    """Share of each query's K nearest references that have its label.

    References at the same distance as the K-th nearest count by expectation: as if ties were broken at random.

    Args:
        distances: float [n, m], query to reference.
        query_labels: int [n].
        reference_labels: int [m].
        k: number of nearest references.
        exclude_self: the queries are the references; leave each one's own entry (the diagonal) out.

    Returns:
        float64 [n] in [0, 1].

    Raises:
        ValueError: shapes do not fit, distances are not numbers, or there are fewer than K references.
    """
    n, m = distances.shape
    if len(query_labels) != n or len(reference_labels) != m or (exclude_self and n != m):
        raise ValueError(
            f"precision_at_k needs distances [n,m] with n query and m reference labels (n = m without self); "
            f"got {[n, m]}, {len(query_labels)} and {len(reference_labels)}"
        )
    references = m - exclude_self
    if not 0 < k <= references:
        raise ValueError(f"precision_at_k needs 1 <= k <= references; got k={k} with {references} references")
    if torch.isnan(distances).any():
        raise ValueError("precision_at_k needs distances that are numbers; got NaN")
    shares = []
    for start in range(0, n, ROWS_AT_ONCE):
        rows = distances[start : start + ROWS_AT_ONCE]
        same = query_labels[start : start + ROWS_AT_ONCE, None] == reference_labels[None]
        counted = torch.ones_like(same)
        if exclude_self:
            own = torch.arange(start, start + len(rows), device=rows.device)
            counted[torch.arange(len(rows), device=rows.device), own] = False
            rows = rows.masked_fill(~counted, torch.inf)
        farthest = torch.kthvalue(rows, k, dim=1, keepdim=True).values
        nearer, tied = (rows < farthest) & counted, (rows == farthest) & counted
        room = k - nearer.sum(dim=1)
        expected = (tied & same).sum(dim=1).double() * room / tied.sum(dim=1)
        shares.append(((nearer & same).sum(dim=1) + expected) / k)
    return torch.cat(shares)


def precision_at_k(
    distances: Tensor, query_labels: Tensor, reference_labels: Tensor, k: int, exclude_self: bool = False
) -> float:
    """Mean of `precision_per_query`: true precision, not Recall@K, so P@8 may be below P@1.

    Args, Raises: as `precision_per_query`.

    Returns:
        float in [0, 1].
    """
    return precision_per_query(distances, query_labels, reference_labels, k, exclude_self).mean().item()


def bootstrap_interval(
    shares: NDArray[np.float64], *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean; queries are resampled, the references stay (our reading).

    Args:
        shares: float64 [n], one share a query.
        resamples: number of resampled means.
        confidence: mass of the interval.
        seed: of the resampling.

    Returns:
        Lower and upper end.
    """
    generator = np.random.default_rng(seed)
    # Blocks keep the index array small for large n; the stream of the generator is the same for any block size.
    means = np.concatenate(
        [shares[generator.integers(len(shares), size=(50, len(shares)))].mean(axis=1) for _ in range(resamples // 50)]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
