"""Augmentation of whole batches on the training device."""

import torch
from torch import Tensor

SHIFT = 0.05  # of the side
SCALE = 0.10
BRIGHTNESS = 0.15


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, shift, scale and brighten each picture at random.

    Brightness is a factor, so that black fill stays black; what a shift brings in is black too.

    Args:
        images: uint8 [n, 3, h, w].
        generator: on the CPU, so that one seed means the same on every device.

    Returns:
        float32 [n, 3, h, w] in 0..255.
    """
    n = len(images)
    mirror = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
    shift = (torch.rand(n, 2, generator=generator) * 2 - 1) * 2 * SHIFT  # the grid spans -1..1
    scale = 1 + (torch.rand(n, generator=generator) * 2 - 1) * SCALE
    gain = 1 + (torch.rand(n, generator=generator) * 2 - 1) * BRIGHTNESS
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = mirror * scale, scale, shift
    grid = torch.nn.functional.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    pictures = torch.nn.functional.grid_sample(images.float(), grid, align_corners=False)
    return (pictures * gain.to(images.device).view(n, 1, 1, 1)).clamp(0, 255)
