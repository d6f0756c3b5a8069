"""Two nodes compared by a paired bootstrap over the images that both have (our reading)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.metric.composed import PartEmbeddings
from tasks.metric.distances import OWN_DISTANCES_TO, OwnDistance
from tasks.metric.precision import bootstrap_interval, precisions_among


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much higher one P@1 is than another.

    Attributes:
        value: in [-1, 1].
        interval: its 95 % interval.
        n: images that both have.
    """

    value: float
    interval: tuple[float, float]
    n: int

    @classmethod
    def of(cls, differences: NDArray[np.float64]) -> "Difference":
        """The mean of n > 0 images' differences."""
        return cls(value=float(differences.mean()), interval=bootstrap_interval(differences), n=len(differences))

    @property
    def is_tie(self) -> bool:
        """Whether the interval holds 0."""
        return self.interval[0] <= 0 <= self.interval[1]


def compare_nodes(
    one: PartEmbeddings, other: PartEmbeddings, labels: Tensor, own_distance: OwnDistance
) -> Difference | None:
    """P@1 of `one` minus P@1 of `other`, both among the same images: queries and references alike.

    Args:
        one, other: two nodes' embeddings of one split; indices ascend.
        labels: int64, of the whole split.
        own_distance: of their loss.

    Returns:
        The difference; None for fewer than two images that both have.
    """
    shared = one.indices[torch.isin(one.indices, other.indices)]
    if len(shared) < 2:
        return None
    known, own = labels[shared], torch.arange(len(shared))
    first, second = (
        precisions_among(OWN_DISTANCES_TO[own_distance](rows), rows, known, known, [1], own=own)[1]
        for rows in (part.embeddings[torch.isin(part.indices, shared)] for part in (one, other))
    )
    return Difference.of((first - second).numpy())


def compare_shares(one: Mapping[int, float], other: Mapping[int, float]) -> Difference | None:
    """Mean share of `one` minus that of `other`, over the images that both have.

    Args:
        one, other: image to its P@1.

    Returns:
        The difference; None without an image that both have.
    """
    shared = sorted(one.keys() & other.keys())
    if not shared:
        return None
    return Difference.of(np.array([one[image] - other[image] for image in shared]))
