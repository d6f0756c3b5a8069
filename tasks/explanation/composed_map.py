"""Where in a photo the composed decision's similarity comes from: the leaves' conserving maps, added up.

The composed distance of a pair is `sum_i w_i |x_i - y_i|^2`, and for a leaf that both photos show the term is
`w_i (2 - 2 cos_i)`. A conserving map has the mean `cos_i`, less the biases' share, so the weighted sum of the placed
maps has the mean `sum_i w_i cos_i`, less theirs: as exact as the decision is (our reading).
"""

import torch
from torch import Tensor, nn

from tasks.segments.framing import Box


def place(conserving: Tensor, box: Box | None, photo: tuple[int, int], size: int) -> Tensor:
    """Put a leaf's map where its picture was in the photo; its mean over the whole frame stays.

    Args:
        conserving: float [h, w], of either sign.
        box: the square that the picture shows, in the photo's pixels; None for the whole photo.
        photo: its height and width.
        size: edge of the frame.

    Returns:
        float [size, size], bilinear inside of the box and 0 elsewhere. A box that is too small for a pixel of the frame
        gets the one nearest to its middle.
    """
    height, width = photo
    left, top, right, bottom = box or Box(0, 0, width, height)
    middles = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    # Places in the box, -1 to 1 from edge to edge, as grid_sample counts.
    x = 2 * (middles * width - left) / (right - left) - 1
    y = 2 * (middles * height - top) / (bottom - top) - 1
    inside = (y.abs() < 1)[:, None] & (x.abs() < 1)[None, :]
    if not inside.any():
        inside[y.abs().argmin(), x.abs().argmin()] = True
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].to(conserving.dtype)
    sampled = nn.functional.grid_sample(
        conserving[None, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0, 0]
    # The map's mass lies on the box's share of the frame; what resampling lost or added is spread over it.
    density = inside.numel() / int(inside.sum())
    placed = torch.where(inside, sampled * density, 0)
    missing = conserving.mean() - placed.mean()
    return placed + inside * missing * density
