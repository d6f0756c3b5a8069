"""Distances between embeddings: the node's own (by its loss) and the metric tree's (SNR, raw and bounded)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tasks.metric.product_distance import ProductDistance, products_with

OwnDistance = Literal["squared_euclidean", "snr", "cosine"]
DistanceTo = Callable[[Tensor], Tensor]
"""From rows [n, d] to the references that it was made for, made ready once: [n, m]."""


def snr_distance(x: Tensor, y: Tensor) -> Tensor:
    """Signal-to-noise-ratio distance, `var(x - y) / var(x)` over the embedding's dimensions (HEML's metric tree).

    The paper's formula sums the variance of single numbers, which is 0; ours is over the dimensions of L2-normalised
    rows (our reading). The distance is asymmetric: x is the signal.

    Args:
        x: float [n, d].
        y: float [m, d].

    Returns:
        [n, m] in [0, inf], of x's dtype; 0 where both rows have no variance, inf where only x has none.
    """
    return snr_distance_to(y)(x)


def bounded_snr_distance(x: Tensor, y: Tensor) -> Tensor:
    """Symmetric form of the SNR distance, `var(x - y) / (2 (var x + var y))` (our reading of "distances in 0..1").

    Rows are L2-normalised first. 0 if the rows differ by a constant, 0.5 if they are uncorrelated, 1 if opposite.

    Args:
        x: float [n, d].
        y: float [m, d].

    Returns:
        [n, m] in [0, 1], of x's dtype; 0 where both rows have no variance.
    """
    var_x, var_y, var_difference = _variances_to(y)(x)
    total = var_x + var_y
    ratio = var_difference / (2 * total)
    return torch.where(total == 0, torch.zeros_like(ratio), ratio).clamp(0, 1).to(x.dtype)


def squared_euclidean_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distance of L2-normalised rows, [n, d] and [m, d] -> [n, m] in [0, 4]."""
    return squared_euclidean_distance_to(y)(x)


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """One minus the cosine, [n, d] and [m, d] -> [n, m] in [0, 2]."""
    return cosine_distance_to(y)(x)


OWN_DISTANCES: dict[OwnDistance, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_euclidean": squared_euclidean_distance,
    "snr": snr_distance,
    "cosine": cosine_distance,
}


def snr_distance_to(y: Tensor) -> ProductDistance:
    """`snr_distance` to y: `var(x - y) = var x - (2 cov(x, y) - var y)`, and the bracket is a product of two rows."""
    d = _embeddings(y).shape[1]

    def lift_references(y: Tensor) -> Tensor:  # to lengths near 1
        centred, variance = _centred(y)
        return torch.cat([centred, -d * variance, torch.zeros_like(variance)], dim=-1)

    def lift(x: Tensor) -> Tensor:
        centred, variance = _centred(_embeddings(x, d))
        return torch.cat([centred * (2 / d), torch.full_like(variance, 1 / d), variance], dim=1)

    def of_products(products: Tensor, lifted: Tensor) -> Tensor:
        variance = lifted[:, -1:]
        ratio = (variance - products).clamp(min=0) / variance
        return torch.where((variance == 0) & (products == 0), 0.0, ratio)

    return ProductDistance(references=y, lift_references=lift_references, lift=lift, of_products=of_products)


def squared_euclidean_distance_to(y: Tensor) -> ProductDistance:
    """`squared_euclidean_distance` to y."""
    return _of_cosines(y, lambda cosines, _: (2 - 2 * cosines).clamp(0, 4))


def cosine_distance_to(y: Tensor) -> ProductDistance:
    """`cosine_distance` to y."""
    return _of_cosines(y, lambda cosines, _: (1 - cosines).clamp(0, 2))


OWN_DISTANCES_TO: dict[OwnDistance, Callable[[Tensor], ProductDistance]] = {
    "squared_euclidean": squared_euclidean_distance_to,
    "snr": snr_distance_to,
    "cosine": cosine_distance_to,
}


def _of_cosines(y: Tensor, of_products: Callable[[Tensor, Tensor], Tensor]) -> ProductDistance:
    return ProductDistance(references=y, lift_references=_normalised, lift=_normalised, of_products=of_products)


def _normalised(x: Tensor) -> Tensor:
    # In double precision, so that equal rows get equal distances and near ones do not lose their difference.
    return torch.nn.functional.normalize(x.double(), dim=-1)


def _variances_to(y: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Of x: var x [n, 1], var y [1, m] and var(x - y) [n, m], from var x + var y - 2 cov(x, y)."""
    d = y.shape[-1]
    y, var_y = _centred(_embeddings(y))
    products = products_with(y)

    def variances(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, var_x = _centred(_embeddings(x, d))
        return var_x, var_y.T, (var_x + var_y.T - 2 * products(x) / d).clamp(min=0)

    return variances


def _embeddings(x: Tensor, dimensions: int | None = None) -> Tensor:
    """x itself, if it has rows, of so many dimensions where they are given."""
    if x.ndim != 2 or dimensions not in (None, x.shape[1]):
        wanted = f"[n,{dimensions}], as the references are" if dimensions else "[n,d]"
        raise ValueError(f"distances need rows {wanted}; got {list(x.shape)}")
    return x


def _centred(x: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised rows less their mean, [..., d], and their variance, [..., 1]."""
    x = _normalised(x)
    x = x - x.mean(dim=-1, keepdim=True)
    variance = x.square().mean(dim=-1, keepdim=True)
    # A row of equal values keeps a rounding error of the mean; it counts as no variance.
    varies = variance >= 1e-30
    return x * varies, variance * varies
