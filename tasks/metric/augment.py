"""Augmentation of whole batches on the training device."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

Augmentation = Literal["none", "mirror", "full"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

SHIFT = 0.06  # of the side
SCALE = 0.06
ROTATION = math.radians(6)
BRIGHTNESS = 0.15
COLOUR = 0.05  # of each channel on its own


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each picture at random: not at all, mirrored, or also moved, scaled, turned and lit differently.

    Light is a factor, so that black fill stays black; what comes in from outside the frame is black too.

    Args:
        images: uint8 [n, 3, h, w], square.
        augmentation: how much.
        generator: on the CPU, so that one seed means the same on every device.

    Returns:
        float32 [n, 3, h, w] in 0..255.
    """
    if augmentation == "none":
        return images.float()
    n = len(images)
    mirror = torch.randint(0, 2, (n,), generator=generator).bool().to(images.device)
    if augmentation == "mirror":
        return torch.where(mirror.view(n, 1, 1, 1), images.flip(3), images).float()
    drawn = (torch.rand(n, 8, generator=generator) * 2 - 1).to(images.device)
    moved = move(images, mirror, drawn[:, 0] * ROTATION, 1 + drawn[:, 1] * SCALE, drawn[:, 2:4] * SHIFT)
    gain = (1 + BRIGHTNESS * drawn[:, 4:5]) * (1 + COLOUR * drawn[:, 5:8])
    return (moved * gain.view(n, 3, 1, 1)).clamp(0, 255)


def move(images: Tensor, mirror: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Mirror, turn, scale and shift each picture about its middle, bilinearly, in one look-up.

    The pixel at `p` of the result is the picture's at `R(angle) scale p + shift`, mirrored first where asked; `p` is
    (x, y) from the middle, to the right and downwards. What lies outside of the picture is black.

    Args:
        images: uint8 [n, 3, h, h].
        mirror: bool [n].
        angle: float [n], radians.
        scale: float [n].
        shift: float [n, 2], shares of the side.

    Returns:
        float32 [n, 3, h, h].
    """
    sign = torch.where(mirror, -1.0, 1.0)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    # affine_grid's frame spans -1..1, so a share of the side counts twice.
    rows = [cosine * sign, -sine * sign, 2 * shift[:, 0] * sign, sine, cosine, 2 * shift[:, 1]]
    grid = functional.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
