"""A distance that falls as a product of two rows grows: its nearest references can be found in float32, with proof."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ProductDistance:
    """Distances to m references, as a function of `lifted query @ lifted reference`.

    Attributes:
        references: [m, d].
        lift_references: from rows [..., d] of them to lifted ones, float64 [..., D].
        lift: from rows [n, d] to lifted queries, float64 [n, D].
        of_products: from products, float64 [n, k], and the lifted queries to distances; none grows with its product.
    """

    references: Tensor
    lift_references: Callable[[Tensor], Tensor]
    lift: Callable[[Tensor], Tensor]
    of_products: Callable[[Tensor, Tensor], Tensor]

    @cached_property
    def _products(self) -> Callable[[Tensor], Tensor]:
        return products_with(self.lift_references(self.references))

    def __call__(self, x: Tensor) -> Tensor:
        """Distances of rows [n, d] to all references, [n, m] of x's dtype."""
        lifted = self.lift(x)
        return self.of_products(self._products(lifted), lifted).to(x.dtype)


def products_with(y: Tensor) -> Callable[[Tensor], Tensor]:
    """`x @ y.T` as a function of x, each different row of y once: a product's last bit depends on its place.

    Equal references are so at equal distances, and the rule for ties holds for them.
    """
    different, inverse = torch.unique(y.detach(), dim=0, return_inverse=True)
    if len(different) == len(y):
        return lambda x: x @ y.T
    one_of_each = inverse.new_empty(len(different)).scatter_(0, inverse, torch.arange(len(y), device=y.device))
    rows = y[one_of_each]
    return lambda x: (x @ rows.T)[:, inverse]
