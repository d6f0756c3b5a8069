"""A photo without one of its segments: what stands beside the hole is drawn on into it."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, maximum_filter

from tasks.bias.picture import Picture, bounding_box


def without_segment(picture: Picture, segment: NDArray[np.bool_], width: float) -> Picture:
    """Fill a segment's pixels from the rest of the picture.

    Each pixel takes the label of the nearest pixel that is not of the segment. Colours are drawn on from just beyond
    the segment's rim, since those at the rim are mixed with its own, and the rim is drawn over with them (it would be
    the segment's outline else); but where another part lies there, such as an eye behind the rim of glasses, from the
    nearest pixel. They are smoothed, more so the further they are drawn: they would be streaks else.

    Args:
        picture: of which some pixels are not of the segment.
        segment: bool [h, w].
        width: of the rim, pixels, 1 or more.

    Returns:
        A new picture. Its label map differs from the given one in the segment alone, its image also in the rim.
    """
    image, label_map = picture.image.copy(), picture.label_map.copy()
    if not segment.any():
        return Picture(image, label_map)
    # Whichever pixel is the nearest, one in the window is as near: about the segment it has a ring of others.
    rim = math.floor(width)
    window = bounding_box(segment).padded(rim + 1, segment.shape).slices
    inside = segment[window]
    y, x = distance_transform_edt(inside, return_distances=False, return_indices=True)
    beside = y * inside.shape[1] + x
    labels = label_map[window].flatten()
    label_map[window] = labels.take(beside)
    widened = maximum_filter(inside, 2 * rim + 1)
    hole = inside if widened.all() else widened
    distance, (y, x) = distance_transform_edt(hole, return_indices=True)
    pixels = np.ascontiguousarray(image[:, *window].transpose(1, 2, 0)).reshape(-1, 3)
    beyond = y * inside.shape[1] + x
    nearest = pixels.take(np.where(labels.take(beyond) == label_map[window], beyond, beside), axis=0)
    smooth = nearest.astype(np.float32)
    for reach in (width, 4 * width):
        share = np.square(np.minimum(distance / (2 * reach), 1)).astype(np.float32)[..., None]
        smooth += share * (_smoothed(nearest, round(2 * reach)) - smooth)
    drawn = np.rint(smooth, out=smooth).astype(np.uint8).transpose(2, 0, 1)
    np.copyto(image[:, *window], drawn, where=hole)
    return Picture(image, label_map)


def _smoothed(image: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
    """Means of blocks with slopes between them: much faster than a wide blur."""
    photo = Image.fromarray(image)
    return np.asarray(photo.reduce(block).resize(photo.size, Image.Resampling.BILINEAR))
