"""The additive reading: how the leaves' distances add up to the root's (HEML, `z = sum_i y_i`).

The sum itself is the composed decision (`tasks.metric.composed`), to which each leaf's term adds exactly. Nothing in
training ties the root's own model to it: for the squared Euclidean distance of its embeddings, whatever the loss, the
sum is an additive surrogate, whose fit is reported (our reading).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.stats import linregress, spearmanr
from torch import Tensor

from tasks.metric.composed import PartEmbeddings, composed_distance, side_by_side
from tasks.metric.distances import squared_euclidean_distance

IMAGES = 500  # 124,750 pairs


@dataclass(frozen=True, kw_only=True)
class AdditiveFit:
    """The root's own distance as a straight line of the leaves' weighted sum, over validation pairs.

    Both are squared Euclidean distances of L2-normalised embeddings, whatever the loss.

    Attributes:
        slope, intercept: of the line, by least squares.
        r_squared: share of the root distance's variance that the line explains, in [0, 1].
        rank_correlation: Spearman's between sum and root distance, in [-1, 1].
        pairs: number of validation pairs.
    """

    slope: float
    intercept: float
    r_squared: float
    rank_correlation: float
    pairs: int


def leaf_term(a: Tensor | None, b: Tensor | None) -> float:
    """One leaf's term for a pair: |a - b|^2 of the L2-normalised embeddings; None is an absent part, the zero vector.

    Args:
        a: float [d] or None.
        b: float [d] or None.

    Returns:
        In [0, 4]; 1 if the part is absent in one, 0 if in both.
    """
    if a is None or b is None:
        return float((a is None) != (b is None))
    return squared_euclidean_distance(a[None], b[None]).item()


def fit_additive(
    leaves: Mapping[str, PartEmbeddings], weights: Mapping[str, float], root: PartEmbeddings
) -> AdditiveFit | None:
    """Fit the line over all pairs of (up to 500) validation images.

    Args:
        leaves: leaf name to its embeddings.
        weights: leaf name to its weight in the composed decision.
        root: the root's embeddings.

    Returns:
        The fit; None with fewer than three images, no leaf, or distances that do not vary.
    """
    if len(root.indices) < 3 or not leaves:
        return None
    chosen = torch.linspace(0, len(root.indices) - 1, min(len(root.indices), IMAGES)).long()
    embeddings, indices = root.embeddings[chosen], root.indices[chosen]
    upper = torch.triu_indices(len(indices), len(indices), offset=1)
    vectors = side_by_side(leaves, weights, indices)
    x = composed_distance(vectors, vectors)[upper[0], upper[1]]
    y = squared_euclidean_distance(embeddings, embeddings)[upper[0], upper[1]].double()
    if x.var() == 0 or y.var() == 0:
        return None
    line = linregress(x.numpy(), y.numpy())
    return AdditiveFit(
        slope=float(line.slope),
        intercept=float(line.intercept),
        r_squared=float(line.rvalue**2),
        rank_correlation=float(spearmanr(x.numpy(), y.numpy()).statistic),
        pairs=len(x),
    )
