"""How much each leaf counts in the composed decision, learned on images held out of training (our reading).

A logistic regression over the pairs of these images: the log odds of one label fall with the weighted sum of the
leaves' distances, and no weight is negative. It has one best answer. A leaf that says nothing about the label loses
its weight, and one that repeats what another says shares it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from tasks.metric.composed import PartEmbeddings, composed_distance

PRIOR = 0.3  # of a Gaussian about 0, against all images together: pairs are not independent, images are
FOLDS = 5
MOST_IMAGES = 1000  # half a million pairs
DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class PartWeights:
    """The leaves' weights.

    Attributes:
        weights: leaf to its weight, in [0, 1]; together 1 but for rounding.
        folds: images, int64 [m], and the weights learned without them: what they say of these is no hindsight.
    """

    weights: dict[str, float]
    folds: tuple[tuple[Tensor, dict[str, float]], ...]


def learn_part_weights(leaves: Mapping[str, PartEmbeddings], images: Tensor, labels: Tensor) -> PartWeights:
    """Learn the leaves' weights.

    Args:
        leaves: leaf name to its embeddings of held-out training images.
        images: int64 [n], the held-out images; of more than 1,000 evenly spaced ones are learned from.
        labels: int64 [n], of these.

    Returns:
        The weights; equal ones where there is too little to learn from.
    """
    fold = torch.arange(len(images)) % FOLDS
    chosen = torch.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).long()
    vectors = [leaf.of(images[chosen]) for leaf in leaves.values()]
    distances = torch.stack([composed_distance(vector, vector) for vector in vectors]) if leaves else torch.empty(0)

    def learned(used: Tensor) -> dict[str, float]:
        if not leaves or used.sum() < 2:
            return dict.fromkeys(leaves, round(1 / max(1, len(leaves)), DIGITS))
        factors = _regress(distances[:, used][:, :, used], labels[chosen][used])
        return {name: round(share, DIGITS) for name, share in zip(leaves, factors.tolist(), strict=True)}

    return PartWeights(
        weights=learned(torch.ones(len(chosen), dtype=torch.bool)),
        folds=tuple((images[fold == i], learned(fold[chosen] != i)) for i in range(FOLDS)),
    )


def _regress(distances: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """The weights' shares, equal if all are 0: float64 [leaves, n, n] and int64 [n] -> float64 [leaves]."""
    one, other = np.triu_indices(len(labels), k=1)
    x = distances.numpy()[:, one, other].T
    sign = np.where((labels[:, None] == labels[None]).numpy()[one, other], 1.0, -1.0)
    prior = PRIOR / len(labels)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, offset = parameters[:-1], parameters[-1]
        margin = sign * (offset - x @ weights)
        slope = -sign / (1 + np.exp(np.minimum(margin, 500)))
        gradient = np.append(-x.T @ slope / len(sign) + 2 * prior * weights, slope.mean())
        return float(np.logaddexp(0, -margin).mean() + prior * (weights**2).sum()), gradient

    count = x.shape[1]
    start = np.append(np.full(count, 0.1), 0.0)
    bounds = [(0.0, None)] * count + [(None, None)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x[:-1]
    total = found.sum()
    shares: NDArray[np.float64] = found / total if total > 0 else np.full(count, 1 / count)
    return shares
