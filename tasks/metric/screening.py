"""The nearest of many references: found in float32, computed in float64, and proven to be the nearest.

All products are computed once in float32. The few largest are computed again in float64, and the others' distances are
bounded below by the greatest error that float32 can have made (N. Higham, *Accuracy and Stability of Numerical
Algorithms*, 2002, section 3.1). A query whose K-th nearest lies clearly below that bound is done, unless two of its
nearest are so near to each other that float64's own rounding could change their order.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tasks.metric.product_distance import ProductDistance

LEAST_REFERENCES = 1024  # of fewer, all distances are as quick
QUERIES_AT_ONCE = 512
REFERENCES_AT_ONCE = 1 << 14  # products of a block of queries with so many take 32 MB
GROUP = 64  # neighbours of which only the largest product is looked at first
SPARES = (2, 62)  # candidates beyond those that are asked for, at first, and for queries that were then uncertain
UNIT_ROUNDOFF = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


class Candidates(NamedTuple):
    """References among which a query's nearest are.

    Attributes:
        places: int64 [n, c], their places.
        distances: [n, c] of the queries' dtype, ascending.
        certain: bool [n], whether all references as near as the K-th are among them, in the order that they have
            whichever way they are computed.
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
        self.distance, self.k = distance, k
        self.room: Tensor | None = None
        self.tiles, longest = [], torch.zeros((), dtype=torch.float64, device=distance.references.device)
        for rows in torch.split(distance.references.detach(), REFERENCES_AT_ONCE):
            lifted = distance.lift_references(rows)
            self.tiles.append(lifted.float())
            longest = torch.maximum(longest, lifted.norm(dim=1).max())
        # Rounding of both factors and of each sum, relative to the lengths' product; twice that, for good measure.
        relative = 2 * (self.tiles[0].shape[1] + 2) * longest
        self.error, self.exact_error = (relative * UNIT_ROUNDOFF[dtype] for dtype in (torch.float32, torch.float64))

    @classmethod
    def of(cls, distance: object, k: int) -> "Screen | None":
        """A screen where it pays and float32 is what it says; None elsewhere."""
        if not isinstance(distance, ProductDistance) or torch.get_float32_matmul_precision() != "highest":
            return None
        references = distance.references
        many = len(references) >= LEAST_REFERENCES and k + max(SPARES) < len(references)
        return cls(distance, k) if many and bool(torch.isfinite(references).all()) else None

    def candidates(self, queries: Tensor, own: Tensor | None, spare: int = SPARES[0]) -> Candidates:
        """The references among which the nearest are.

        Args:
            queries: float [n, d].
            own: int64 [n], each query's own place, which is left out; None where they are others.
            spare: candidates beyond K: the more, the more queries are certain.
        """
        lifted = self.distance.lift(queries)
        rows, count = lifted.float(), self.k + spare
        found = []
        for number, tile in enumerate(self.tiles):
            with torch.autocast(rows.device.type, enabled=False):
                products = torch.mm(rows, tile.T, out=self._room(len(rows), len(tile)))
            first = number * REFERENCES_AT_ONCE
            if own is not None:
                here = ((own >= first) & (own < first + len(tile))).nonzero()[:, 0]
                products[here, own[here] - first] = -torch.inf
            values, places = _largest(products, count)
            found.append((values, places + first))
        values, chosen = torch.cat([values for values, _ in found], dim=1).topk(count, dim=1)
        places = torch.cat([places for _, places in found], dim=1).gather(1, chosen)
        exact = (lifted[:, None] * self.distance.lift_references(self.distance.references[places])).sum(dim=2)
        distances, order = self.distance.of_products(exact, lifted).to(queries.dtype).sort(dim=1)
        lengths = lifted.norm(dim=1, keepdim=True)
        beyond = self.distance.of_products(values[:, -1:].double() + self.error * lengths, lifted).to(queries.dtype)
        ranked = exact.sort(dim=1, descending=True).values[:, : self.k + 1]
        apart = (ranked[:, :-1] - ranked[:, 1:] > self.exact_error * lengths).all(dim=1)
        certain = apart & (distances[:, self.k - 1] < beyond[:, 0]) & torch.isfinite(distances).all(dim=1)
        return Candidates(places=places.gather(1, order), distances=distances, certain=certain)

    def _room(self, queries: int, references: int) -> Tensor:
        """Memory for a block's products, the same for all blocks: new pages would cost as much as what fills them."""
        if self.room is None or len(self.room) < queries * references:
            self.room = self.tiles[0].new_empty(queries * references)
        return self.room[: queries * references].view(queries, references)


def _largest(products: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of each row, float [n, m], and their places, [n, count] each; all of a row that has no more."""
    n, m = products.shape
    whole = m // GROUP * GROUP
    if m <= count or whole < count * GROUP:
        return products.topk(min(count, m), dim=1)
    # They are in the groups with the largest maxima, or in the rest that fills no group.
    groups = products[:, :whole].reshape(n, whole // GROUP, GROUP).amax(dim=2).topk(count, dim=1, sorted=False).indices
    members = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=products.device)).flatten(1)
    rest = torch.arange(whole, m, device=products.device).expand(n, -1)
    places = torch.cat([members, rest], dim=1)
    values, chosen = products.gather(1, places).topk(count, dim=1)
    return values, places.gather(1, chosen)
