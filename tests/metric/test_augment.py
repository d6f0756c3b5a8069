from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.metric import augment as module
from tasks.metric.augment import BRIGHTNESS, SHIFT, augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 16, width: int = 16) -> Tensor:
    return torch.randint(1, 256, (n, 3, height, width), generator=generator(9), dtype=torch.uint8)


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """A picture moved by whole pixels over black, pixel by pixel."""
    out = np.zeros_like(image)
    height, width = image.shape[1:]
    for y, x in product(range(height), range(width)):
        if 0 <= y - down < height and 0 <= x - right < width:
            out[:, y, x] = image[:, y - down, x - right]
    return out


def test_the_strengths_are_moderate() -> None:
    assert 0 < SHIFT <= 0.1
    assert 0 < BRIGHTNESS <= 0.2


def test_each_picture_is_mirrored_or_not_and_moved_by_whole_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BRIGHTNESS", 0.0)
    monkeypatch.setattr(module, "SHIFT", 0.1)  # 1 pixel of 10, 2 pixels of 18
    image = pictures(1, 10, 18)[0].numpy()
    moves = {
        shifted(image[:, :, :: -1 if mirror else 1], down, right).tobytes(): (mirror, down, right)
        for mirror, down, right in product((False, True), (-1, 0, 1), (-2, -1, 0, 1, 2))
    }
    assert len(moves) == 30
    after = augment(torch.from_numpy(image).expand(600, -1, -1, -1), "full", generator()).numpy()
    seen = [moves[picture.astype(np.uint8).tobytes()] for picture in after]
    assert set(seen) == set(moves.values())  # all 30 occur, about equally often
    assert np.mean([mirror for mirror, _, _ in seen]) == pytest.approx(0.5, abs=0.07)
    assert np.mean([down for _, down, _ in seen]) == pytest.approx(0, abs=0.12)
    assert np.mean([right for _, _, right in seen]) == pytest.approx(0, abs=0.2)


def test_brightness_is_one_factor_a_picture() -> None:
    images = torch.full((300, 3, 8, 8), 100, dtype=torch.uint8)
    gains = augment(images, "full", generator()) / 100
    assert (gains - gains[:, :1, :1, :1]).abs().max() < 1e-6
    gains = gains[:, 0, 0, 0]
    assert 1 - BRIGHTNESS <= gains.min() < 1 - 0.9 * BRIGHTNESS
    assert 1 + 0.9 * BRIGHTNESS < gains.max() <= 1 + BRIGHTNESS
    assert gains.mean().item() == pytest.approx(1, abs=0.02)


def test_what_a_shift_brings_in_is_black_and_black_stays_black() -> None:
    assert augment(torch.zeros(20, 3, 40, 40, dtype=torch.uint8), "full", generator()).abs().max() == 0
    white = augment(torch.full((100, 3, 40, 40), 255, dtype=torch.uint8), "full", generator())
    assert white[:, :, 0].min() == 0
    assert white[:, :, :, -1].min() == 0
    assert white[:, :, 20, 20].min() > 200


def test_values_stay_in_0_to_255_as_float32() -> None:
    after = augment(torch.full((50, 3, 8, 8), 250, dtype=torch.uint8), "full", generator())
    assert (after.dtype, after.shape) == (torch.float32, (50, 3, 8, 8))
    assert after.min() >= 0
    assert after.max() == 255


def test_one_generator_one_result_whatever_torch_s_own_state_is() -> None:
    images = pictures(5)
    torch.manual_seed(1)
    first = augment(images, "full", generator(3))
    torch.manual_seed(2)
    assert torch.equal(first, augment(images, "full", generator(3)))
    assert not torch.equal(first, augment(images, "full", generator(4)))


def test_mirror_only_mirrors_and_none_does_nothing() -> None:
    images = pictures(64)
    mirrored = augment(images, "mirror", generator())
    same = [torch.equal(a, b.float()) for a, b in zip(mirrored, images, strict=True)]
    flipped = [torch.equal(a, b.flip(2).float()) for a, b in zip(mirrored, images, strict=True)]
    assert all(a != b for a, b in zip(same, flipped, strict=True))
    assert 16 < sum(flipped) < 48
    assert torch.equal(augment(images, "none", generator()), images.float())
