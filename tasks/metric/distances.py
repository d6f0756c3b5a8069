"""Distances between embeddings: the node's own (by its loss) and the metric tree's (SNR, raw and bounded)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

OwnDistance = Literal["squared_euclidean", "snr", "cosine"]
DistanceTo = Callable[[Tensor], Tensor]
"""From rows [n, d] to the references that it was made for, made ready once: [n, m]."""


def snr_distance(x: Tensor, y: Tensor) -> Tensor:
    """Signal-to-noise-ratio distance, `var(x - y) / var(x)` over the embedding's dimensions (HEML section 1.6).

    Rows are L2-normalised first. The distance is asymmetric: x is the signal.

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


def snr_distance_to(y: Tensor) -> DistanceTo:
    """`snr_distance` to y."""
    variances = _variances_to(y)

    def distance(x: Tensor) -> Tensor:
        var_x, var_y, var_difference = variances(x)
        ratio = var_difference / var_x
        return torch.where((var_x == 0) & (var_y == 0), torch.zeros_like(ratio), ratio).to(x.dtype)

    return distance


def squared_euclidean_distance_to(y: Tensor) -> DistanceTo:
    """`squared_euclidean_distance` to y."""
    distance = cosine_distance_to(y)
    return lambda x: 2 * distance(x)


def cosine_distance_to(y: Tensor) -> DistanceTo:
    """`cosine_distance` to y."""
    products = products_with(_normalised(y))
    return lambda x: (1 - products(_normalised(x))).clamp(0, 2).to(x.dtype)


OWN_DISTANCES_TO: dict[OwnDistance, Callable[[Tensor], DistanceTo]] = {
    "squared_euclidean": squared_euclidean_distance_to,
    "snr": snr_distance_to,
    "cosine": cosine_distance_to,
}


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


def _normalised(x: Tensor) -> Tensor:
    # In double precision, so that equal rows get equal distances and near ones do not lose their difference.
    return torch.nn.functional.normalize(x.double(), dim=1)


def _variances_to(y: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Of x: var x [n, 1], var y [1, m] and var(x - y) [n, m], from var x + var y - 2 cov(x, y)."""
    given = list(y.shape)
    if y.ndim != 2:
        raise ValueError(f"distances need [n,d] and [m,d] with one d; got references {given}")
    y, var_y = _centred(y)
    products = products_with(y)

    def variances(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if x.ndim != 2 or x.shape[1] != y.shape[1]:
            raise ValueError(f"distances need [n,d] and [m,d] with one d; got {list(x.shape)} and {given}")
        x, var_x = _centred(x)
        return var_x, var_y.T, (var_x + var_y.T - 2 * products(x) / x.shape[1]).clamp(min=0)

    return variances


def _centred(x: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised rows less their mean, and their variance, [n, 1]."""
    x = _normalised(x)
    x = x - x.mean(dim=1, keepdim=True)
    variance = x.square().mean(dim=1, keepdim=True)
    # A row of equal values keeps a rounding error of the mean; it counts as no variance.
    return x, torch.where(variance < 1e-30, 0, variance)
