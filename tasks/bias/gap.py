"""The worst-group gap: mean P@1 less the P@1 of the worst label x group cell, and how it varies."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.metric.compare import Difference

LEAST_PHOTOS = 5  # of a cell that can be the worst: the figure of fewer is mostly chance
_RESAMPLES = 1000


def gap_and_resampled(
    shares: Sequence[NDArray[np.float64]], labels: Sequence[str], groups: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaps of one or several trees on the same photos.

    Args:
        shares: of k trees, each photo's P@1, float64 [n].
        labels, groups: n; one cell or more has 5 photos.

    Returns:
        The gaps, float64 [k], and resampled ones, float64 [1000, k]: photos within their cells, the same ones for all
        trees, the worst cell found anew.
    """
    cells = list(zip(labels, groups, strict=True))
    members = [np.array([i for i, other in enumerate(cells) if other == cell]) for cell in sorted(set(cells))]
    photos = np.array([len(own) for own in members])
    together = np.stack(shares, axis=1)

    def gaps(drawn: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        means = np.stack([together[own].mean(axis=0) for own in drawn])
        found: NDArray[np.float64] = photos @ means / photos.sum() - means[photos >= LEAST_PHOTOS].min(axis=0)
        return found

    generator = np.random.default_rng(0)
    resampled = [gaps([generator.choice(own, len(own)) for own in members]) for _ in range(_RESAMPLES)]
    return gaps(members), np.array(resampled)


def gap_difference(
    one: NDArray[np.float64], other: NDArray[np.float64], labels: Sequence[str], groups: Sequence[str]
) -> Difference:
    """The gap of one tree less that of another, on the same photos.

    Args:
        one, other: each photo's P@1, float64 [n].
        labels, groups: n.
    """
    (first, second), resampled = gap_and_resampled([one, other], labels, groups)
    low, high = np.quantile(resampled[:, 0] - resampled[:, 1], [0.025, 0.975])
    return Difference(value=float(first - second), interval=(float(low), float(high)), n=len(one))
