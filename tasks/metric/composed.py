"""The composed decision: the weighted sum of the leaves' distances, `z = sum_i w_i |x_i - y_i|^2` (HEML).

The paper states `z = sum_i y_i` and does not measure it. In the squared Euclidean form on L2-normalised embeddings (our
reading) the sum is exactly the squared distance of the vectors `sqrt(w_i) x_i` side by side; an absent part is the zero
vector. Each leaf's term is its share of the whole, and an inner node's sum is its children's sums added up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.metric.distances import DistanceTo
from tasks.metric.evaluation import Precision, evaluate_by
from tasks.metric.product_distance import products_with


@dataclass(frozen=True, kw_only=True)
class PartEmbeddings:
    """What one node makes of the images that show its part.

    Attributes:
        embeddings: float [n, d].
        indices: int64 [n], which images of the split these are.
    """

    embeddings: Tensor
    indices: Tensor

    def of(self, images: Tensor) -> Tensor:
        """L2-normalised embeddings of the given images, float64 [m, d]; zeros where an image lacks the part."""
        rows = torch.zeros(len(images), self.embeddings.shape[1], dtype=torch.float64)
        if len(self.indices):
            place = torch.searchsorted(self.indices, images).clamp(max=len(self.indices) - 1)
            there = self.indices[place] == images
            rows[there] = torch.nn.functional.normalize(self.embeddings[place[there]].double(), dim=1)
        return rows


def side_by_side(leaves: Mapping[str, PartEmbeddings], weights: Mapping[str, float], images: Tensor) -> Tensor:
    """The composed embeddings: `sqrt(w_i) x_i` of every leaf, one after the other.

    Args:
        leaves: leaf name to its embeddings; indices ascend.
        weights: leaf name to its weight, >= 0; others may be there.
        images: int64 [m], indices into the split.

    Returns:
        float64 [m, sum of the leaves' dimensions].
    """
    return torch.cat([weights[name] ** 0.5 * leaf.of(images) for name, leaf in leaves.items()], dim=1)


def composed_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distance of the rows as they are.

    Args:
        x: composed embeddings, float [n, d].
        y: float [m, d].

    Returns:
        float [n, m], >= 0; at most 4 if the weights sum to 1.
    """
    return composed_distance_to(y)(x)


def composed_distance_to(y: Tensor) -> DistanceTo:
    """`composed_distance` to y."""
    lengths_y, products = y.square().sum(dim=1, keepdim=True).T, products_with(y)
    return lambda x: (x.square().sum(dim=1, keepdim=True) + lengths_y - 2 * products(x)).clamp(min=0)


def composed_precision(
    leaves: Mapping[str, PartEmbeddings],
    weights: Mapping[str, float],
    images: Tensor,
    labels: Tensor,
    *,
    intervals: bool = True,
) -> Precision:
    """P@K by the composed distance, images queried against each other, self excluded.

    Args:
        leaves: the node's trained leaves; without any there are no figures.
        weights: of the leaves.
        images: int64 [n], the images that the node uses.
        labels: int64 [n], of these.
        intervals: whether to compute bootstrap intervals.
    """
    if not leaves:
        return Precision.none(len(images))
    vectors = side_by_side(leaves, weights, images)
    return evaluate_by(composed_distance_to(vectors), vectors, labels, intervals=intervals)
