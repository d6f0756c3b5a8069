"""The nearest of many references: found in float32, computed in float64, and proven to be the nearest.

All products are computed once in float32. The few largest are computed again in float64, and the others' distances are
bounded below by the greatest error that float32 can have made (N. Higham, *Accuracy and Stability of Numerical
Algorithms*, 2002, section 3.1). A query whose K-th nearest lies clearly below that bound is done.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tasks.metric.product_distance import ProductDistance

LEAST_REFERENCES = 1024  # of fewer, all distances are as quick
GROUP = 64  # neighbours of which only the largest product is looked at first
SPARE = 2  # candidates beyond those that are asked for: one may be nearly as near as the last
UNIT_ROUNDOFF = 2.0**-24  # of float32


class Candidates(NamedTuple):
    """References among which a query's nearest are.

    Attributes:
        places: int64 [n, c], their places.
        distances: [n, c] of the queries' dtype, ascending.
        certain: bool [n], whether all references as near as the K-th are among them.
    """

    places: Tensor
    distances: Tensor
    certain: Tensor


class Screen:
    """Finds the K nearest references of queries.

    Args:
        distance: to the references, of which there are at least `LEAST_REFERENCES`.
        k: how many are asked for, at most.
    """

    def __init__(self, distance: ProductDistance, k: int) -> None:
        references = distance.references
        self.distance, self.k = distance, k
        self.m, dimensions = references.shape
        padded = math.ceil(self.m / GROUP) * GROUP
        self.rows = references.new_zeros(padded, dimensions, dtype=torch.float32)
        self.rows[: self.m] = references.float()
        # Rounding of both factors and of each sum, relative to the lengths' product; twice that, for good measure.
        self.error = 2 * (dimensions + 2) * UNIT_ROUNDOFF * references.norm(dim=1).max()

    @classmethod
    def of(cls, distance: object, k: int) -> "Screen | None":
        """A screen where it pays and float32 is what it says; None elsewhere."""
        if not isinstance(distance, ProductDistance) or torch.get_float32_matmul_precision() != "highest":
            return None
        references = distance.references
        many = len(references) >= max(LEAST_REFERENCES, GROUP * (k + SPARE))
        return cls(distance, k) if many and bool(torch.isfinite(references).all()) else None

    def candidates(self, queries: Tensor, own: Tensor | None) -> Candidates:
        """The references among which the nearest are.

        Args:
            queries: float [n, d].
            own: int64 [n], each query's own place, which is left out; None where they are others.
        """
        lifted = self.distance.lift(queries)
        products = lifted.float() @ self.rows.T
        products[:, self.m :] = -torch.inf
        if own is not None:
            products.scatter_(1, own[:, None], -torch.inf)
        count = self.k + SPARE
        # The largest products are in the groups with the largest maxima.
        groups = products.view(len(products), -1, GROUP).amax(dim=2).topk(count, dim=1, sorted=False).indices
        places = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=products.device)).flatten(1)
        largest = products.gather(1, places).topk(count, dim=1)
        places = places.gather(1, largest.indices)
        exact = (lifted[:, None] * self.distance.references[places]).sum(dim=2)
        distances, order = self.distance.of_products(exact, lifted).to(queries.dtype).sort(dim=1)
        greatest = largest.values[:, -1:].double() + self.error * lifted.norm(dim=1, keepdim=True)
        beyond = self.distance.of_products(greatest, lifted).to(queries.dtype)
        certain = (distances[:, self.k - 1] < beyond[:, 0]) & torch.isfinite(distances).all(dim=1)
        return Candidates(places=places.gather(1, order), distances=distances, certain=certain)
