"""Energy in a segment and the pointing game: masks are exact ground truth for where a map should lie."""

import torch
from torch import Tensor


def energy_in_segment(maps: Tensor, segment: Tensor) -> Tensor:
    """Share of a map's positive part that lies in the segment (Wang et al., Score-CAM, CVPRW 2020: on a box).

    Args:
        maps: float [n, h, w].
        segment: bool [n, h, w].

    Returns:
        float [n] in [0, 1]; NaN where the segment is absent or the map has no positive part.
    """
    positive = maps.double().clamp(min=0)
    total = positive.sum(dim=(1, 2))
    inside = (positive * segment).sum(dim=(1, 2))
    defined = segment.any(dim=2).any(dim=1) & (total > 0)
    return torch.where(defined, inside / total, torch.nan).to(maps.dtype)


def pointing_game(maps: Tensor, segment: Tensor) -> Tensor:
    """Whether a map's highest pixel lies in the segment (Zhang et al., IJCV 2018), without tolerance.

    Several highest pixels count by expectation: the share of them in the segment.

    Args:
        maps: float [n, h, w].
        segment: bool [n, h, w].

    Returns:
        float [n] in [0, 1]; NaN where the segment is absent.
    """
    highest = maps == maps.amax(dim=(1, 2), keepdim=True)
    share = (highest & segment).sum(dim=(1, 2)) / highest.sum(dim=(1, 2))
    return torch.where(segment.any(dim=2).any(dim=1), share, torch.nan).to(maps.dtype)
