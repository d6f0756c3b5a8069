"""Augmentation of whole batches on the training device."""

from typing import Literal, get_args

import torch
from torch import Tensor

Augmentation = Literal["none", "mirror", "full"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

SHIFT = 0.06  # of the side
BRIGHTNESS = 0.15


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change each picture at random: not at all, mirrored, or mirrored, shifted and brightened.

    Shifts are whole pixels: resampling would blur fine textures, which may be what a part is told by. Brightness is a
    factor, so that black fill stays black; what a shift brings in is black too.

    Args:
        images: uint8 [n, 3, h, w].
        augmentation: how much; with few images and a label that is hard to see, less finds it sooner.
        generator: on the CPU, so that one seed means the same on every device.

    Returns:
        float32 [n, 3, h, w] in 0..255.
    """
    if augmentation == "none":
        return images.float()
    n, _, height, width = images.shape
    mirror = torch.randint(0, 2, (n, 1, 1, 1), generator=generator).bool().to(images.device)
    if augmentation == "mirror":
        return torch.where(mirror, images.flip(3), images).float()
    gain = 1 + (torch.rand(n, 1, 1, 1, generator=generator) * 2 - 1) * BRIGHTNESS
    reach_y, reach_x = round(SHIFT * height), round(SHIFT * width)
    tops = torch.randint(0, 2 * reach_y + 1, (n,), generator=generator).tolist()
    lefts = torch.randint(0, 2 * reach_x + 1, (n,), generator=generator).tolist()
    padded = torch.nn.functional.pad(images, (reach_x, reach_x, reach_y, reach_y))
    corners = enumerate(zip(tops, lefts, strict=True))
    shifted = torch.stack([padded[i, :, top : top + height, left : left + width] for i, (top, left) in corners])
    return (torch.where(mirror, shifted.flip(3), shifted) * gain.to(images.device)).clamp(0, 255)
