"""Distances between embeddings: the node's own (by its loss) and the metric tree's (SNR, raw and bounded)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

OwnDistance = Literal["squared_euclidean", "snr", "cosine"]


def snr_distance(x: Tensor, y: Tensor) -> Tensor:
    """Signal-to-noise-ratio distance, `var(x - y) / var(x)` over the embedding's dimensions (HEML section 1.6).

    Rows are L2-normalised first. The distance is asymmetric: x is the signal.

    Args:
        x: float [n, d].
        y: float [m, d].

    Returns:
        [n, m] in [0, inf], of x's dtype; 0 where both rows have no variance, inf where only x has none.
    """
    var_x, var_y, var_difference = _variances(x, y)
    ratio = var_difference / var_x
    return torch.where((var_x == 0) & (var_y == 0), torch.zeros_like(ratio), ratio).to(x.dtype)


def bounded_snr_distance(x: Tensor, y: Tensor) -> Tensor:
    """Symmetric form of the SNR distance, `var(x - y) / (2 (var x + var y))` (our reading of "distances in 0..1").

    Rows are L2-normalised first. 0 if the rows differ by a constant, 0.5 if they are uncorrelated, 1 if opposite.

    Args:
        x: float [n, d].
        y: float [m, d].

    Returns:
        [n, m] in [0, 1], of x's dtype; 0 where both rows have no variance.
    """
    var_x, var_y, var_difference = _variances(x, y)
    total = var_x + var_y
    ratio = var_difference / (2 * total)
    return torch.where(total == 0, torch.zeros_like(ratio), ratio).clamp(0, 1).to(x.dtype)


def squared_euclidean_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distance of L2-normalised rows, [n, d] and [m, d] -> [n, m] in [0, 4]."""
    return 2 * cosine_distance(x, y)


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """One minus the cosine, [n, d] and [m, d] -> [n, m] in [0, 2]."""
    return (1 - rows_products(_normalised(x), _normalised(y))).clamp(0, 2).to(x.dtype)


OWN_DISTANCES: dict[OwnDistance, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_euclidean": squared_euclidean_distance,
    "snr": snr_distance,
    "cosine": cosine_distance,
}


def _normalised(x: Tensor) -> Tensor:
    # In double precision, so that equal rows get equal distances and near ones do not lose their difference.
    return torch.nn.functional.normalize(x.double(), dim=1)


def rows_products(x: Tensor, y: Tensor) -> Tensor:
    """`x @ y.T`, each different row of y once: the last bit of a product depends on its place in the matrix.

    Equal references are so at equal distances, and the rule for ties holds for them.
    """
    different, inverse = torch.unique(y.detach(), dim=0, return_inverse=True)
    one_of_each = inverse.new_empty(len(different)).scatter_(0, inverse, torch.arange(len(y), device=y.device))
    products: Tensor = x @ y[one_of_each].T
    return products[:, inverse]


def _variances(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """var x [n, 1], var y [1, m] and var(x - y) [n, m], from var x + var y - 2 cov(x, y)."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"distances need [n,d] and [m,d] with one d; got {list(x.shape)} and {list(y.shape)}")
    x, y = _normalised(x), _normalised(y)
    x, y = x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)
    # A row of equal values keeps a rounding error of the mean; it counts as no variance.
    floor = 1e-30
    var_x, var_y = x.square().mean(dim=1, keepdim=True), y.square().mean(dim=1, keepdim=True).T
    var_x, var_y = torch.where(var_x < floor, 0, var_x), torch.where(var_y < floor, 0, var_y)
    return var_x, var_y, (var_x + var_y - 2 * rows_products(x, y) / x.shape[1]).clamp(min=0)
