"""How a node's picture is framed: the whole photo, or a square about the node's own part (our reading).

A crop is taken from the photo's full resolution, so that a small part gets the pixels that the whole frame denies it.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.segments.compose import BACKGROUND_CLASS, keep_table

Framing = Literal["full", "crop"]
FRAMINGS: tuple[Framing, ...] = get_args(Framing)
MARGIN = 0.1  # of the part's longer side, on each side of it


class Box(NamedTuple):
    """A square of a photo, in pixels; it may reach beyond the photo's edges. Right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


def crop_box(label_map: NDArray[np.uint8], class_ids: Iterable[int]) -> Box | None:
    """The square about the part: its bounding box's centre, its longer side and a margin of a tenth.

    Args:
        label_map: uint8 [h, w].
        class_ids: the part's class ids.

    Returns:
        The box; None if the part is absent.
    """
    part = keep_table(class_ids).numpy()[label_map]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    longer = max(bottom - top, right - left)
    side = longer + 2 * max(1, round(longer * MARGIN))
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    return Box(x, y, x + side, y + side)


def cropped(
    image: NDArray[np.uint8], label_map: NDArray[np.uint8], box: Box
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut a box out of a photo and its label map. Beyond the photo's edges it is black, and background.

    Args:
        image: uint8 [3, h, w].
        label_map: uint8 [h, w].
        box: which meets the photo.

    Returns:
        uint8 [3, side, side] and [side, side].
    """
    height, width = label_map.shape
    inside = np.s_[max(box.top, 0) : min(box.bottom, height), max(box.left, 0) : min(box.right, width)]
    rows, columns = (max(-box.top, 0), max(box.bottom - height, 0)), (max(-box.left, 0), max(box.right - width, 0))
    cut = np.pad(image[:, *inside], ((0, 0), rows, columns))
    return cut, np.pad(label_map[inside], (rows, columns), constant_values=BACKGROUND_CLASS)


def frame(
    image: NDArray[np.uint8],
    label_map: NDArray[np.uint8],
    class_ids: Iterable[int] | None,
    framing: Framing,
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo and its label map as a node gets them, before composing.

    Args:
        image: uint8 [3, h, w].
        label_map: uint8 [h, w].
        class_ids: the node's; None (the root) always gets the whole photo.
        framing: `full` or `crop`; a photo without the part is taken whole.
        size: edge of the result, pixels.

    Returns:
        uint8 [3, size, size] and [size, size].
    """
    box = crop_box(label_map, class_ids) if framing == "crop" and class_ids is not None else None
    if box is not None:
        image, label_map = cropped(image, label_map, box)
    return resize_image(image, size), resize_label_map(label_map, size)


def resize_image(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """[3, h, w] -> [3, size, size], bilinear with antialiasing, without regard to the aspect ratio."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def resize_label_map(label_map: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """[h, w] -> [size, size], nearest neighbour: class ids cannot be mixed."""
    return np.asarray(Image.fromarray(label_map).resize((size, size), Image.Resampling.NEAREST))
