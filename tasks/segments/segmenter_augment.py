"""Random changes to photos and their label maps, so that a segmenter learns more from few."""

import math
import re
from collections.abc import Sequence

import torch
from torch.nn import functional as F

ZOOM = 0.9, 1.15
OUTSIDE = -1  # label of pixels that an augmentation brings in from outside the photo


def mirrored_classes(names: Sequence[str]) -> list[int]:
    """The place of the class that each one becomes when a photo is mirrored.

    A class called `l_X` or `left X` becomes the one called `r_X` or `right X`, and the other way round; a name whose
    counterpart is not there stays (CelebAMask-HQ's `l_lip` is the lower lip).
    """
    other = {"l": "r", "r": "l", "left": "right", "right": "left"}
    sided = [re.fullmatch(r"(l|r|left|right)[ _-](.+)", name.lower()) for name in names]
    places = {found.groups(): place for place, found in enumerate(sided) if found}
    return [places.get((other[found[1]], found[2]), place) if found else place for place, found in enumerate(sided)]


def augment(
    images: torch.Tensor,
    targets: torch.Tensor,
    mirror: torch.Tensor,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirror, zoom, stretch, shift and tint a batch at random.

    Args:
        images: float32 [n, 3, h, w], normalised.
        targets: int64 [n, h, w].
        mirror: int64 [classes], the class that each becomes when mirrored.
        generator: on the CPU, so that every device gets the same draws.

    Returns:
        float32 [n, 3, h, w] and int64 [n, h, w]; pixels from outside the photo are 0 (the mean colour) and -1.
    """
    count, device = len(images), images.device

    def draw(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    factor = torch.exp(draw(math.log(ZOOM[0]), math.log(ZOOM[1])))
    stretch = torch.exp(draw(-0.1, 0.1))
    room = (1 - 1 / factor).abs() + 0.1
    right, down = draw(-1, 1) * room, draw(-1, 1) * room
    flipped = draw(0, 1) < 0.5
    zero = torch.zeros(count)
    # Rows of the matrix that takes a place in the new picture to the place in the old one that it shows.
    x_row = torch.stack([torch.where(flipped, -1.0, 1.0) * stretch / factor, zero, right], dim=1)
    y_row = torch.stack([zero, 1 / factor, down], dim=1)
    gain, offset = torch.exp(draw(-0.2, 0.2)), draw(-0.2, 0.2)

    affine = torch.stack([x_row, y_row], dim=1).to(device)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    images = images * gain.to(device).view(-1, 1, 1, 1) + offset.to(device).view(-1, 1, 1, 1)
    targets = torch.where(flipped.to(device).view(-1, 1, 1), mirror[targets], targets)
    # One up and one down again: grid_sample fills with 0.
    shifted = F.grid_sample((targets + 1).float()[:, None], grid, mode="nearest", align_corners=False)
    return images, shifted[:, 0].long() + OUTSIDE
