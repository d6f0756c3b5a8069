"""A photo with its label map, and boxes in it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Picture(NamedTuple):
    """A photo and what its pixels belong to.

    Attributes:
        image: uint8 [3, h, w], RGB in 0..255.
        label_map: uint8 [h, w], class ids.
    """

    image: NDArray[np.uint8]
    label_map: NDArray[np.uint8]


class Box(NamedTuple):
    """Rows [top, bottom) and columns [left, right), pixels; part of it may lie outside of the picture."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of an array [h, w]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def padded(self, margin: int, shape: tuple[int, ...]) -> "Box":
        """The box with a margin about it, as far as it lies in a picture of shape [h, w]; empty if none of it does."""
        (height, width), (top, left, bottom, right) = shape, self
        top, left = (min(max(0, first - margin), end) for first, end in ((top, height), (left, width)))
        return Box(top, left, max(top, min(height, bottom + margin)), max(left, min(width, right + margin)))


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """The least box about the pixels of a mask, bool [h, w], that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
