import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tasks.segments.segmenter_loss import class_weights, dice_loss, segmenter_loss


def test_class_weights_are_one_over_the_root_of_the_share() -> None:
    targets = torch.tensor([[[0] * 64 + [1] * 16 + [3] * 20]], dtype=torch.uint8)[0][None]
    weights = class_weights(targets, 4).tolist()
    assert weights[2] == 0
    assert weights[1] / weights[0] == pytest.approx(math.sqrt(0.64 / 0.16))
    assert weights[3] / weights[0] == pytest.approx(math.sqrt(0.64 / 0.20))
    assert sum(w * s for w, s in zip(weights, (0.64, 0.16, 0, 0.2), strict=True)) == pytest.approx(1)


def test_dice_loss_is_one_minus_the_soft_overlap_class_by_class() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(2, 4, 3, 5)), rng.integers(-1, 3, (2, 3, 5))  # class 3 does not occur
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    dice = []
    for class_id in range(3):
        overlap = total = 0.0
        for n, row, column in np.ndindex(truth.shape):
            if truth[n, row, column] >= 0:
                overlap += shares[n, class_id, row, column] * (truth[n, row, column] == class_id)
                total += shares[n, class_id, row, column] + (truth[n, row, column] == class_id)
        dice.append((2 * overlap + 1) / (total + 1))
    found = dice_loss(torch.from_numpy(logits).float(), torch.from_numpy(truth))
    assert found.item() == pytest.approx(1 - np.mean(dice), abs=1e-5)


def test_the_loss_counts_what_is_inside_at_the_label_map_s_size() -> None:
    logits, weights = torch.randn(2, 3, 4, 4), torch.tensor([0.5, 1.0, 2.0])
    truth = torch.randint(-1, 3, (2, 8, 8))
    shares = F.interpolate(logits, (8, 8), mode="bilinear").softmax(dim=1)
    inside = [(n, row, column) for n, row, column in np.ndindex(2, 8, 8) if truth[n, row, column] >= 0]
    told = [(weights[truth[at]].item(), shares[at[0], truth[at], at[1], at[2]].item()) for at in inside]
    entropy = -sum(weight * math.log(share) for weight, share in told) / sum(weight for weight, _ in told)
    found = segmenter_loss(logits, truth, weights) - dice_loss(shares.log(), truth)  # softmax undoes log
    assert found.item() == pytest.approx(entropy, rel=1e-4)
