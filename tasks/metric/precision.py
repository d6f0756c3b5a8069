"""Precision@K: the mean share of a query's K nearest references that have its label (HEML, Tables I and III)."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.metric.distances import DistanceTo
from tasks.metric.screening import QUERIES_AT_ONCE, SPARES, Screen

DISTANCES_AT_ONCE = 1 << 23  # 64 MB of them
CONFIDENCE, RESAMPLES, MEANS_AT_ONCE = 0.95, 1000, 50  # of an interval


def precision_per_query(
    distances: Tensor, query_labels: Tensor, reference_labels: Tensor, k: int, exclude_self: bool = False
) -> Tensor:
    """Share of each query's K nearest references that have its label; their mean is P@K, which is not Recall@K.

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
            f"P@K needs distances [n,m] with n query and m reference labels (n = m without self); "
            f"got {[n, m]}, {len(query_labels)} and {len(reference_labels)}"
        )
    _check_k(k, m - exclude_self)
    own = torch.arange(n, device=distances.device) if exclude_self else None
    rows = rows_at_once(m)
    return torch.cat(
        [
            _shares(
                distances[start : start + rows],
                query_labels[start : start + rows],
                reference_labels,
                [k],
                None if own is None else own[start : start + rows],
            )[k]
            for start in range(0, n, rows)
        ]
    )


def precisions_among(
    distance: DistanceTo,
    queries: Tensor,
    query_labels: Tensor,
    reference_labels: Tensor,
    ks: Sequence[int],
    own: Tensor | None = None,
) -> dict[int, Tensor]:
    """`precision_per_query` for several K at once, of distances that are never all held.

    Args:
        distance: to the m references.
        queries: float [n, d].
        query_labels: int [n].
        reference_labels: int [m].
        ks: numbers of nearest references.
        own: int64 [n], each query's own place among the references, which is left out; None where they are others.

    Returns:
        K to float64 [n] in [0, 1].

    Raises:
        ValueError: distances are not numbers, or there are fewer than K references.
    """
    m = len(reference_labels)
    for k in ks:
        _check_k(k, m - (own is not None))
    n = len(queries)
    shares = {k: torch.empty(n, dtype=torch.float64, device=queries.device) for k in ks}

    def keep(asked: Tensor, found: Mapping[int, Tensor]) -> None:
        for k in ks:
            shares[k][asked] = found[k]

    left = torch.arange(n, device=queries.device)
    screen = Screen.of(distance, max(ks)) if ks else None
    for spare in SPARES:
        if screen is None:
            break
        certain = [left.new_empty(0, dtype=torch.bool)]
        for asked in _blocks(left, QUERIES_AT_ONCE):
            near = screen.candidates(queries[asked], None if own is None else own[asked], spare)
            keep(asked, _shares(near.distances, query_labels[asked], reference_labels[near.places], ks, None))
            certain.append(near.certain)
        left = left[~torch.cat(certain)]
    for asked in _blocks(left, rows_at_once(m)):
        itself = None if own is None else own[asked]
        keep(asked, _shares(distance(queries[asked]), query_labels[asked], reference_labels, ks, itself))
    return shares


def rows_at_once(references: int) -> int:
    """Queries whose distances to so many references are held at once."""
    return max(1, DISTANCES_AT_ONCE // max(1, references))


def bootstrap_interval(shares: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean; queries are resampled, the references stay (our reading).

    Args:
        shares: float64 [n], one share a query.

    Returns:
        Lower and upper end of the 95 % interval; the same for the same shares.
    """
    generator = np.random.default_rng(0)
    blocks = [(MEANS_AT_ONCE, len(shares))] * (RESAMPLES // MEANS_AT_ONCE)  # a small array of places, also for large n
    means = np.concatenate([shares[generator.integers(len(shares), size=block)].mean(axis=1) for block in blocks])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _blocks(places: Tensor, at_once: int) -> Sequence[Tensor]:
    """Of so many; none of no places."""
    return torch.split(places, at_once) if len(places) else ()


def _shares(
    rows: Tensor, query_labels: Tensor, reference_labels: Tensor, ks: Sequence[int], own: Tensor | None
) -> dict[int, Tensor]:
    """K to shares, float64 [b], from float [b, m], labels [m] or [b, m], and each query's own column, if it has one."""
    if torch.isnan(rows).any():
        raise ValueError("P@K needs distances that are numbers; got NaN")
    if not ks:
        return {}
    if own is not None:
        rows = rows.scatter(1, own[:, None], torch.inf)
    references = rows.shape[1] - (own is not None)
    nearest, places = rows.topk(min(max(ks) + 1, rows.shape[1]), dim=1, largest=False)
    same = reference_labels.expand_as(rows).gather(1, places) == query_labels[:, None]
    shares = {}
    for k in ks:
        shares[k] = same[:, :k].sum(dim=1).double() / k
        # A tie over the K-th place, or an infinite distance, which the query itself may seem to have.
        unclear = torch.isinf(nearest[:, k - 1])
        if k < references:
            unclear |= nearest[:, k] == nearest[:, k - 1]
        if unclear.any():
            itself = None if own is None else own[unclear]
            labels = reference_labels.expand_as(rows)[unclear]
            shares[k][unclear] = _expected(
                rows[unclear], nearest[unclear, k - 1 : k], query_labels[unclear], labels, k, itself
            )
    return shares


def _expected(
    rows: Tensor, farthest: Tensor, query_labels: Tensor, reference_labels: Tensor, k: int, own: Tensor | None
) -> Tensor:
    """Shares of the K nearest with the query's label, those as far as the K-th by expectation, float64 [b]."""
    same = query_labels[:, None] == reference_labels
    nearer, tied = rows < farthest, rows == farthest
    if own is not None:
        tied.scatter_(1, own[:, None], False)
    room = k - nearer.sum(dim=1)
    expected = (tied & same).sum(dim=1).double() * room / tied.sum(dim=1)
    return ((nearer & same).sum(dim=1) + expected) / k


def _check_k(k: int, references: int) -> None:
    if not 0 < k <= references:
        raise ValueError(f"P@K needs 1 <= k <= references; got k={k} with {references} references")
