"""A saliency map laid over its picture.

A map's colour covers a pixel as much as the map is high there, so that what does not matter stays as it was.
"""

import matplotlib
import numpy as np
from numpy.typing import NDArray

# Inferno is perceptually uniform and is read by colour-blind eyes; [256, 3], RGB, dark to bright.
COLOURS: NDArray[np.uint8] = matplotlib.colormaps["inferno"](np.arange(256), bytes=True)[:, :3].copy()
MOST = 0.75  # how much a map covers its picture where it is 1


def map_colours(saliency: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours of a map.

    Args:
        saliency: [h, w], finite; what is outside [0, 1] is clipped.

    Returns:
        uint8 [3, h, w].
    """
    return np.moveaxis(COLOURS[np.rint(_checked(saliency) * 255).astype(np.uint8)], -1, 0)


def map_layer(saliency: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A map as a layer to put over a picture: its colours, and its height as opacity.

    Args:
        saliency: [h, w], finite; what is outside [0, 1] is clipped.

    Returns:
        uint8 [4, h, w]: red, green, blue, opacity.
    """
    opacity = np.rint(_checked(saliency) * 255).astype(np.uint8)
    return np.concatenate([map_colours(saliency), opacity[None]])


def overlay(picture: NDArray[np.uint8], saliency: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The picture with the map's colours over it: (1 - MOST * m) * picture + MOST * m * colour(m).

    Args:
        picture: uint8 [3, h, w].
        saliency: m, [h, w], finite; what is outside [0, 1] is clipped.

    Returns:
        uint8 [3, h, w]; a pixel where the map is 0 is unchanged.

    Raises:
        ValueError: if the sizes differ or the map is not finite.
    """
    if picture.ndim != 3 or picture.shape[0] != 3 or picture.shape[1:] != saliency.shape:
        raise ValueError(f"overlay needs a picture [3, h, w] and a map [h, w]; got {picture.shape}, {saliency.shape}")
    cover = MOST * _checked(saliency)
    mixed = (1 - cover) * picture + cover * map_colours(saliency)
    return np.rint(mixed).astype(np.uint8)


def _checked(saliency: NDArray[np.floating]) -> NDArray[np.float64]:
    if saliency.ndim != 2:
        raise ValueError(f"a saliency map is [h, w]; got {saliency.shape}")
    if not np.isfinite(saliency).all():
        raise ValueError("a saliency map must be finite; got NaN or infinity")
    return np.clip(saliency.astype(np.float64), 0, 1)
