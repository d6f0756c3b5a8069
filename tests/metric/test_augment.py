import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from torch import Tensor

from tasks.metric import augment as module
from tasks.metric.augment import BRIGHTNESS, COLOUR, ROTATION, SCALE, SHIFT, augment, move


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 16, width: int = 16) -> Tensor:
    return torch.randint(1, 256, (n, 3, height, width), generator=generator(9), dtype=torch.uint8)


def still(monkeypatch: pytest.MonkeyPatch, *but: str) -> None:
    """Switch off all changes but the named ones."""
    for name in {"SHIFT", "SCALE", "ROTATION", "BRIGHTNESS", "COLOUR"} - set(but):
        monkeypatch.setattr(module, name, 0.0)


def test_the_strengths_are_moderate() -> None:
    assert 0 < SHIFT <= 0.1
    assert 0 < SCALE <= 0.1
    assert 0 < ROTATION <= np.radians(10)
    assert 0 < COLOUR < BRIGHTNESS <= 0.2


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    ("degrees", "scale", "right", "down"),
    [(0, 1, 0, 0), (5, 1, 0, 0), (-5, 1.06, 0, 0), (0, 0.95, 0.1, 0), (90, 1, 0, 0.2), (6, 1.05, -0.06, 0.04)],
)
def test_pictures_are_moved_as_scipy_moves_them(
    mirror: bool, degrees: float, scale: float, right: float, down: float
) -> None:
    side, angle = 15, np.radians(degrees)
    images = pictures(2, side, side)
    one = torch.ones(2)
    shift = torch.tensor([[right, down]], dtype=torch.float32).expand(2, 2)
    got = move(images, torch.full((2,), mirror), one * angle, one * scale, shift)
    # scipy: the input's (row, column) from the output's. The matrix is R(angle) scale, with y before x.
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([(side - 1) / 2] * 2)
    offset = middle + side * np.array([down, right]) - turn @ middle
    for picture, found in zip(images.float().numpy(), got.numpy(), strict=True):
        source = picture[:, :, ::-1] if mirror else picture
        for channel, result in zip(source, found, strict=True):
            expected = affine_transform(channel, turn, offset, order=1, mode="grid-constant")
            np.testing.assert_allclose(result, expected, atol=0.05)


def test_moves_are_drawn_to_both_sides_and_half_of_the_pictures_are_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[Tensor, ...]] = []

    def noted(images: Tensor, *how: Tensor) -> Tensor:
        moves.append(how)
        return move(images, *how)

    monkeypatch.setattr(module, "move", noted)
    augment(pictures(2000, 4, 4), "full", generator())
    mirror, angle, scale, shift = moves[0]
    assert mirror.float().mean().item() == pytest.approx(0.5, abs=0.05)
    for values, middle, reach in (
        (angle, 0, ROTATION),
        (scale, 1, SCALE),
        (shift[:, 0], 0, SHIFT),
        (shift[:, 1], 0, SHIFT),
    ):
        assert middle - reach <= values.min() < middle - 0.95 * reach
        assert middle + 0.95 * reach < values.max() <= middle + reach
        assert values.mean().item() == pytest.approx(middle, abs=0.1 * reach)


def test_light_is_one_factor_a_channel_near_the_picture_s(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "BRIGHTNESS", "COLOUR")
    images = torch.full((300, 3, 8, 8), 100, dtype=torch.uint8)
    gains = augment(images, "full", generator()) / 100
    assert (gains - gains[:, :, :1, :1]).abs().max() < 1e-5  # rounding where the look-up meets the pixels
    gains = gains[:, :, 0, 0]
    assert gains.min() >= (1 - BRIGHTNESS) * (1 - COLOUR)
    assert gains.max() <= (1 + BRIGHTNESS) * (1 + COLOUR)
    assert gains.mean().item() == pytest.approx(1, abs=0.02)
    ratio = gains / gains.mean(dim=1, keepdim=True)
    assert 0.5 * COLOUR < (ratio - 1).abs().max() < 2 * COLOUR
    assert gains.mean(dim=1).std() > 0.5 * BRIGHTNESS


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
