"""Retrieval by a node's distance: Recall@K, and mAP@R (Musgrave et al., "A Metric Learning Reality Check", 2020).

Images are queried against each other, self excluded. Images at one distance count by expectation, as if ties were
broken at random (our reading, as in `precision`). A query whose label no other image has cannot be answered: it is left
out as a query and stays as a reference.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tasks.metric.precision import bootstrap_interval

KS = (1, 2, 4, 8)
ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean over queries, in [0, 1], and its 95 % bootstrap interval (queries are resampled)."""

    value: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, shares: Tensor) -> "Figure":
        """The figure of each query's share, float64 [n] with n >= 1."""
        return cls(value=shares.mean().item(), interval=bootstrap_interval(shares.cpu().numpy()))


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """What retrieval among n images reaches.

    Attributes:
        recall: K to Recall@K; None where there are no queries, or no K other images.
        map_at_r: mAP@R; None without queries.
        queries: images whose label another image has.
        images: all, each a reference of the others.
        labels: how many labels the queries have.
    """

    recall: dict[int, Figure | None]
    map_at_r: Figure | None
    queries: int
    images: int
    labels: int


def retrieval(distances: Tensor, labels: Tensor) -> Retrieval:
    """Recall@1, @2, @4 and @8 and mAP@R with intervals.

    Args:
        distances: float [n, n], query to reference.
        labels: int64 [n].

    Raises:
        ValueError: shapes do not fit, or distances are not numbers.
    """
    n, answerable = len(labels), answerable_queries(labels)
    asked = int(answerable.sum())
    known = labels[answerable]
    return Retrieval(
        recall={
            k: Figure.of(recall_per_query(distances, labels, k)[answerable]) if asked and k < n else None for k in KS
        },
        map_at_r=Figure.of(average_precision_at_r(distances, labels)[answerable]) if asked else None,
        queries=asked,
        images=n,
        labels=len(torch.unique(known)),
    )


def answerable_queries(labels: Tensor) -> Tensor:
    """Whether another image has a query's label, bool [n], from int64 [n]."""
    _, own, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    answerable: Tensor = counts[own] > 1
    return answerable


def recall_per_query(distances: Tensor, labels: Tensor, k: int) -> Tensor:
    """How surely one of each query's K nearest others has its label.

    With b others nearer than the K-th one's distance and t at it, of which s have the label, the K - b that are drawn
    of the t all miss with probability `prod_i (t - s - i) / (t - i)`.

    Args:
        distances: float [n, n], query to reference.
        labels: int64 [n].
        k: number of nearest others, 1 to n - 1.

    Returns:
        float64 [n] in [0, 1]; 0 for a query whose label no other image has.

    Raises:
        ValueError: shapes do not fit, distances are not numbers, or there are fewer than K others.
    """
    _check(distances, labels)
    if not 0 < k < len(labels):
        raise ValueError(f"Recall@K needs 1 <= k <= others; got k={k} with {len(labels) - 1} others")
    shares = []
    for start in range(0, len(labels), ROWS_AT_ONCE):
        ranked = _ranked(distances, labels, start)
        at = torch.full((len(ranked.first), 1), k - 1, device=distances.device)
        first, tied, before, same = (part.gather(1, at)[:, 0] for part in ranked)
        missed = torch.ones(len(first), dtype=torch.float64, device=distances.device)
        for i in range(k):
            factor = (tied - same - i).clamp(min=0).double() / (tied - i).clamp(min=1)
            missed = torch.where(i < k - first, missed * factor, missed)
        shares.append(torch.where(before > 0, 1.0, 1 - missed))
    return torch.cat(shares)


def average_precision_at_r(distances: Tensor, labels: Tensor) -> Tensor:
    """Each query's `1/R sum_{i <= R} P(i) rel(i)`, with R others of its label.

    rel(i) is whether the i-th nearest has the label, P(i) the precision among the i nearest. For the p-th of t at one
    distance, of which s have the label, with B of the label nearer, the expectation of `i P(i) rel(i)` over the orders
    of the t is `s/t (B + 1 + (p - 1) (s - 1) / (t - 1))`.

    Args:
        distances: float [n, n], query to reference.
        labels: int64 [n].

    Returns:
        float64 [n] in [0, 1]; 0 for a query whose label no other image has.

    Raises:
        ValueError: shapes do not fit, or distances are not numbers.
    """
    _check(distances, labels)
    shares = []
    rank = torch.arange(1, len(labels), device=distances.device)[None]
    for start in range(0, len(labels), ROWS_AT_ONCE):
        first, tied, before, same = _ranked(distances, labels, start)
        others = (labels[start : start + ROWS_AT_ONCE, None] == labels[None]).sum(dim=1, keepdim=True) - 1
        nearer_tied = (rank - first - 1) * (same - 1) / (tied - 1).clamp(min=1)
        expected = same / tied * (before + 1 + nearer_tied.double())
        terms = torch.where(rank <= others, expected / rank, 0.0)
        shares.append(terms.sum(dim=1) / others[:, 0].clamp(min=1))
    return torch.cat(shares)


class _Ranked(NamedTuple):
    """What stands at each place of the queries' rankings of the others, int64 [rows, n - 1] each.

    Attributes:
        first: how many others are nearer than the one at this place.
        tied: how many are at its distance, itself among them.
        before: how many of the nearer ones have the query's label.
        same: how many of the tied ones have it.
    """

    first: Tensor
    tied: Tensor
    before: Tensor
    same: Tensor


def _ranked(distances: Tensor, labels: Tensor, start: int) -> _Ranked:
    """The rankings of `ROWS_AT_ONCE` queries from `start` on, each without the query itself."""
    rows = distances[start : start + ROWS_AT_ONCE]
    of_others = torch.ones_like(rows, dtype=torch.bool)
    of_others[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = False
    same = labels[start : start + ROWS_AT_ONCE, None] == labels[None]
    others = (len(rows), len(labels) - 1)
    ascending, order = rows[of_others].reshape(others).sort(dim=1)
    relevant = same[of_others].reshape(others).gather(1, order).long()
    upto = torch.nn.functional.pad(relevant.cumsum(dim=1), (1, 0))
    first = torch.searchsorted(ascending, ascending)
    end = torch.searchsorted(ascending, ascending, right=True)
    before = upto.gather(1, first)
    return _Ranked(first=first, tied=end - first, before=before, same=upto.gather(1, end) - before)


def _check(distances: Tensor, labels: Tensor) -> None:
    if distances.shape != (len(labels), len(labels)):
        raise ValueError(f"retrieval needs distances [n,n] and n labels; got {list(distances.shape)}, {len(labels)}")
    if torch.isnan(distances).any():
        raise ValueError("retrieval needs distances that are numbers; got NaN")
