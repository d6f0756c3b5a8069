import matplotlib
import numpy as np
import pytest

from tasks.explanation.overlay import map_colours, map_layer, overlay


def test_colours_are_matplotlibs_inferno() -> None:
    values = np.array([[0.0, 0.25], [0.6, 1.0]])
    expected = matplotlib.colormaps["inferno"](np.rint(values * 255).astype(int))[..., :3] * 255
    assert np.abs(np.moveaxis(expected, -1, 0) - map_colours(values)).max() <= 1


def test_colours_grow_brighter_with_the_map() -> None:
    colours = map_colours(np.linspace(0, 1, 256)[None]).astype(float)
    luminance = np.tensordot([0.2126, 0.7152, 0.0722], colours, axes=1)[0]
    assert (np.diff(luminance) > -1).all()
    assert luminance[0] < 1
    assert luminance[-1] > 230


def test_a_zero_map_leaves_the_picture_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(picture, np.zeros((5, 7))), picture)


def test_the_hot_spot_is_brighter_and_redder_than_the_rest() -> None:
    saliency = np.zeros((9, 9), np.float32)
    saliency[4, 4], saliency[4, 5] = 1.0, 0.6
    shown = overlay(np.full((3, 9, 9), 40, np.uint8), saliency).astype(int)
    assert shown[0, 4, 4] > 150
    assert shown[0, 4, 5] > shown[2, 4, 5] + 30
    assert (shown[:, 0, 0] == 40).all()


def test_the_mixture_pixel_by_pixel() -> None:
    generator = np.random.default_rng(1)
    picture = generator.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    saliency = generator.random((4, 3))
    shown = overlay(picture, saliency)
    for y in range(4):
        for x in range(3):
            colour = map_colours(saliency[y : y + 1, x : x + 1])[:, 0, 0]
            for c in range(3):
                expected = (1 - 0.75 * saliency[y, x]) * picture[c, y, x] + 0.75 * saliency[y, x] * colour[c]
                assert abs(shown[c, y, x] - expected) <= 0.5 + 1e-9


def test_a_layer_is_as_opaque_as_the_map_is_high() -> None:
    layer = map_layer(np.array([[0.0, 0.5, 1.0, 2.0]]))
    assert layer.shape == (4, 1, 4)
    assert layer[3, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize(
    ("saliency", "message"), [(np.zeros((4, 4)), "picture .* and a map"), (np.full((2, 2), np.nan), "finite")]
)
def test_wrong_input_is_refused(saliency: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlay(np.zeros((3, 2, 2), np.uint8), saliency)
