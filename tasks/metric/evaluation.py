"""A node's figures: P@1, P@2 and P@8 with intervals by its own distance, and the distances that pairs have there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.metric.distances import OWN_DISTANCES_TO, DistanceTo, OwnDistance, bounded_snr_distance
from tasks.metric.precision import bootstrap_interval, precisions_among

KS = (1, 2, 8)
QUANTILES = 1001
IMAGES_FOR_QUANTILES = 2000  # 2 million pairs; more change no quantile that is shown


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Precision@K with 95 % bootstrap intervals, in [0, 1]; None where n <= K.

    Attributes:
        at: K to the mean over the queries.
        intervals: K to its interval.
        n: number of images, each queried against all others.
    """

    at: dict[int, float | None]
    intervals: dict[int, tuple[float, float] | None]
    n: int

    @classmethod
    def none(cls, n: int) -> "Precision":
        """The figures of a node that has none."""
        return cls(at=dict.fromkeys(KS), intervals=dict.fromkeys(KS), n=n)

    @classmethod
    def of_queries(cls, shares: Mapping[int, Tensor], n: int, *, intervals: bool) -> "Precision":
        """The figures of n images from each K's share of each query, float64 [n] (`precision_per_query`)."""
        at, bounds = dict(cls.none(n).at), dict(cls.none(n).intervals)
        for k, own in shares.items():
            at[k] = own.mean().item()
            bounds[k] = bootstrap_interval(own.numpy()) if intervals else None
        return cls(at=at, intervals=bounds, n=n)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Precision":
        """From plain values, in which JSON has made the keys strings."""
        return cls(
            at={int(k): value for k, value in fields["at"].items()},
            intervals={int(k): (low_high and tuple(low_high)) for k, low_high in fields["intervals"].items()},
            n=fields["n"],
        )

    @property
    def mean(self) -> float | None:
        """Mean of P@1, P@2 and P@8, those that there are: on few images P@1 alone is mostly noise. None without any."""
        figures = [value for value in self.at.values() if value is not None]
        return float(np.mean(figures)) if figures else None

    def figures(self) -> dict[str, float | None]:
        """precision_at_1, precision_at_2, precision_at_8."""
        return {f"precision_at_{k}": value for k, value in self.at.items()}


def evaluate(embeddings: Tensor, labels: Tensor, own_distance: OwnDistance, *, intervals: bool = True) -> Precision:
    """P@K of images queried against each other, self excluded.

    Args:
        embeddings: float [n, d].
        labels: int [n].
        own_distance: the distance of the node's loss.
        intervals: whether to compute bootstrap intervals.
    """
    if len(embeddings) <= min(KS):
        return Precision.none(len(embeddings))
    return evaluate_by(OWN_DISTANCES_TO[own_distance](embeddings), embeddings, labels, intervals=intervals)


def precision_by_chance(labels: Sequence[str]) -> float | None:
    """What any K gives with neighbours in random order: the share of pairs of images that have one label (our reading).

    Args:
        labels: of n images.

    Returns:
        In [0, 1]; None for fewer than two images.
    """
    n = len(labels)
    return sum(count * (count - 1) for count in Counter(labels).values()) / (n * (n - 1)) if n > 1 else None


def evaluate_by(distance: DistanceTo, vectors: Tensor, labels: Tensor, *, intervals: bool = True) -> Precision:
    """The same by any distance; no more than a block of the distances is ever held.

    Args:
        distance: to the vectors.
        vectors: float [n, d].
        labels: int [n].
        intervals: whether to compute bootstrap intervals.
    """
    n = len(labels)
    shares = precisions_among(distance, vectors, labels, labels, [k for k in KS if n > k], own=torch.arange(n))
    return Precision.of_queries(shares, n, intervals=intervals)


def distance_quantiles(embeddings: Tensor) -> NDArray[np.float32]:
    """Quantiles of the bounded SNR distance over all pairs of a node's validation images.

    Args:
        embeddings: float [n, d]; of more than 2,000 evenly spaced ones are taken.

    Returns:
        float32 [1001], ascending; empty for fewer than two images.
    """
    if len(embeddings) > IMAGES_FOR_QUANTILES:
        embeddings = embeddings[torch.linspace(0, len(embeddings) - 1, IMAGES_FOR_QUANTILES).long()]
    if len(embeddings) < 2:
        return np.empty(0, dtype=np.float32)
    return pair_quantiles(bounded_snr_distance(embeddings, embeddings))


def pair_quantiles(distances: Tensor) -> NDArray[np.float32]:
    """Quantiles of a distance over all pairs, float32 [1001], from float [n, n] with n >= 2."""
    pairs = distances.numpy()[np.triu_indices(len(distances), k=1)]
    quantiles: NDArray[np.float32] = np.quantile(pairs, np.linspace(0, 1, QUANTILES)).astype(np.float32)
    return quantiles


def percentile(distance: float, quantiles: NDArray[np.float32]) -> float | None:
    """Share of validation pairs with at most this distance, in [0, 100]; None if there are no pairs."""
    if not len(quantiles):
        return None
    # Ties count half: a distance that all pairs have is in their middle.
    below, upto = (np.searchsorted(quantiles, np.float32(distance), side=side) for side in ("left", "right"))
    return float(100 * (below + upto) / 2 / len(quantiles))
