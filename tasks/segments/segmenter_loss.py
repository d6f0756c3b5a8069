"""What a segmenter's training makes small: how far its output is from the label map, small parts counted like large."""

import torch
from torch.nn import functional as F

from tasks.segments.segmenter_augment import OUTSIDE


def class_weights(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Weights of the cross entropy: one over the root of a class's share of the pixels, so that small parts count.

    Args:
        targets: uint8 [n, h, w] of classes 0 to `classes` - 1.
        classes: their number.

    Returns:
        float32 [classes]; the mean over all pixels is 1; 0 for a class that does not occur.
    """
    counts = torch.bincount(targets.flatten(), minlength=classes).double()
    shares = counts / counts.sum()
    weights = torch.where(shares > 0, shares.clamp(min=1e-9).rsqrt(), torch.zeros_like(shares))
    return (weights / (weights * shares).sum()).float()


def segmenter_loss(logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus Dice loss, of logits upsampled first, so that both see the finer edges.

    Args:
        logits: float32 [n, classes, rows, columns], of any grid.
        truth: int64 [n, h, w]; -1 is left out.
        weights: float32 [classes], of the cross entropy.

    Returns:
        float32 scalar, 0 or more.
    """
    logits = F.interpolate(logits, size=truth.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(logits, truth, weight=weights, ignore_index=OUTSIDE) + dice_loss(logits, truth)


def dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice overlap (Milletari et al. 2016), the mean over the classes in the batch.

    It asks for the same thing as the IoU, and counts a nose as much as a wall.

    Args:
        logits: float32 [n, classes, h, w].
        truth: int64 [n, h, w]; -1 is left out.

    Returns:
        float32 scalar in [0, 1].
    """
    inside = (truth != OUTSIDE)[:, None]
    wanted = F.one_hot(truth.clamp(min=0), logits.shape[1]).movedim(-1, 1) * inside
    given = logits.softmax(dim=1) * inside
    overlap, total = (given * wanted).sum(dim=(0, 2, 3)), (given + wanted).sum(dim=(0, 2, 3))
    # One more pixel on both sides, so that a class of a few pixels does not swing the step.
    dice = (2 * overlap + 1) / (total + 1)
    return 1 - dice[wanted.sum(dim=(0, 2, 3)) > 0].mean()
