import torch
from torch.nn import functional as F

from tasks.segments.segmenter_augment import augment, mirrored_classes


def test_mirrored_classes_are_pairs_only() -> None:
    names = ["skin", "l_eye", "r_eye", "u_lip", "l_lip", "Left-shoe", "right shoe", "ear_r"]
    assert mirrored_classes(names) == [0, 2, 1, 3, 4, 6, 5, 7]


def test_augmentation_moves_image_and_label_map_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.zeros(64, 24, 24, dtype=torch.long)
    targets[:, 6:18, 2:10] = 1  # left of the middle
    targets[:, 6:18, 14:22] = 2  # right of the middle
    images = F.one_hot(targets, 3).movedim(-1, 1).float() * 4
    moved, labels = augment(images, targets, torch.tensor([0, 2, 1]), generator)
    # Mirrored photos have their channels as they were drawn, so there the two sides have changed places.
    agrees = [(moved[n].argmax(0) == labels[n])[labels[n] >= 0].float().mean().item() for n in range(64)]
    swapped = torch.tensor([0, 2, 1])
    mirrored = [(swapped[moved[n].argmax(0)] == labels[n])[labels[n] >= 0].float().mean().item() for n in range(64)]
    assert all(max(pair) > 0.9 for pair in zip(agrees, mirrored, strict=True))
    assert 16 < sum(other > same for same, other in zip(agrees, mirrored, strict=True)) < 48
    assert (labels == -1).any() and labels.max() == 2
    # Whether mirrored or not, what is called 1 lies left of what is called 2.
    columns = torch.arange(24.0)
    for found in labels:
        if (found == 1).any() and (found == 2).any():
            middles = [((found == i).sum(0) * columns).sum() / (found == i).sum() for i in (1, 2)]
            assert middles[0] < middles[1]
