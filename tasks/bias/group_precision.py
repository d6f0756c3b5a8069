"""P@1 of each label x group cell, the worst one, and the gap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.bias.gap import LEAST_PHOTOS, gap_and_resampled
from tasks.metric.precision import bootstrap_interval


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The photos of one label and group.

    Attributes:
        label, group: which.
        photos: how many.
        precision: their mean P@1, among all photos.
        interval: its 95 % interval.
    """

    label: str
    group: str
    photos: int
    precision: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class GroupPrecision:
    """P@1 by label and group.

    Attributes:
        cells: by label and group.
        mean: mean P@1 of all photos.
        interval: its 95 % interval.
        worst: the cell with the lowest P@1 of those with 5 photos or more.
        gap: `mean` less the worst cell's P@1.
        gap_interval: its 95 % interval: photos are resampled within their cells, and the worst cell found anew.
    """

    cells: tuple[Cell, ...]
    mean: float
    interval: tuple[float, float]
    worst: Cell
    gap: float
    gap_interval: tuple[float, float]


def group_precision(
    shares: NDArray[np.float64], labels: tuple[str, ...], groups: tuple[str, ...]
) -> GroupPrecision | None:
    """P@1 of each cell.

    Args:
        shares: float64 [n], each photo's P@1.
        labels, groups: n.

    Returns:
        The figures; None where no cell has 5 photos.
    """
    cells = {
        cell: np.array([found == cell for found in zip(labels, groups, strict=True)])
        for cell in sorted(set(zip(labels, groups, strict=True)))
    }
    found = tuple(
        Cell(
            label=label,
            group=group,
            photos=int(here.sum()),
            precision=float(shares[here].mean()),
            interval=bootstrap_interval(shares[here]),
        )
        for (label, group), here in cells.items()
    )
    counted = [cell for cell in found if cell.photos >= LEAST_PHOTOS]
    if not counted:
        return None
    worst = min(counted, key=lambda cell: cell.precision)
    _, resampled = gap_and_resampled([shares], labels, groups)
    low, high = np.quantile(resampled[:, 0], [0.025, 0.975])
    mean = float(shares.mean())
    return GroupPrecision(
        cells=found,
        mean=mean,
        interval=bootstrap_interval(shares),
        worst=worst,
        gap=mean - worst.precision,
        gap_interval=(float(low), float(high)),
    )
