"""Where one photo's segment belongs in another one that has none."""

import numpy as np
from numpy.typing import NDArray

from tasks.bias.picture import Box, Picture, bounding_box

BACKGROUND = 0  # class id


def place_of_segment(receiver: Picture, donor: Picture, segment: NDArray[np.bool_]) -> Box:
    """The box of a donor's segment, carried over to a receiver by the parts that both photos show (our reading).

    Along each axis the carrying is a shift and a scale: those that best take the edges of the parts' boxes in the donor
    to the edges of the same parts' in the receiver, in the least squares, where a part counts the more the nearer it is
    to the segment. So glasses follow the eyes, whatever the length of the hair and whether there is a hat.

    Args:
        receiver: a photo without the segment.
        donor: a photo with it.
        segment: bool [h, w], where the donor has it.

    Returns:
        Its box in the receiver, one pixel high and wide at least, which may stick out of the picture. With no part in
        common the box has the place and the size in the receiver's picture that it has in the donor's.
    """
    own = bounding_box(segment)
    pairs = _common_boxes(receiver, donor, segment) or [
        (Box(0, 0, *segment.shape), Box(0, 0, *receiver.label_map.shape))
    ]
    size = np.hypot(own.bottom - own.top, own.right - own.left)
    away = [np.hypot(*(np.add(box[:2], box[2:]) / 2 - np.add(own[:2], own[2:]) / 2)) for box, _ in pairs]
    weights = 1 / (np.array(away) ** 2 + (size / 2) ** 2)
    top, bottom = _carried(pairs, weights, (own.top, own.bottom), 0)
    left, right = _carried(pairs, weights, (own.left, own.right), 1)
    return Box(top, left, max(top + 1, bottom), max(left + 1, right))


def _common_boxes(receiver: Picture, donor: Picture, segment: NDArray[np.bool_]) -> list[tuple[Box, Box]]:
    """Each part's box in the donor and in the receiver."""
    other = np.where(segment, np.uint8(BACKGROUND), donor.label_map)
    counts = [np.bincount(label_map.ravel(), minlength=256) for label_map in (other, receiver.label_map)]
    common = [class_id for class_id in np.flatnonzero(counts[0] * counts[1]) if class_id != BACKGROUND]
    return [(bounding_box(other == class_id), bounding_box(receiver.label_map == class_id)) for class_id in common]


def _carried(
    pairs: list[tuple[Box, Box]], weights: NDArray[np.float64], ends: tuple[int, int], axis: int
) -> tuple[int, int]:
    """Both ends of the segment along one axis, after the weighted least-squares line through the boxes' edges."""
    donor, receiver = (
        np.array([[box[axis], box[axis + 2]] for box in boxes]).ravel() for boxes in zip(*pairs, strict=True)
    )
    share = np.repeat(weights, 2) / (2 * weights.sum())
    at, to = share @ donor, share @ receiver
    # Each box's second edge lies beyond its first, so the spread is more than zero.
    scale = max(0.0, share @ ((donor - at) * (receiver - to))) / (share @ (donor - at) ** 2)
    first, last = (round(to + scale * (end - at)) for end in ends)
    return first, last
