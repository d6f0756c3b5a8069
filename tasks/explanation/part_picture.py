"""A photo and what a node shows of it, in the photo's own resolution: for people to look at, no model sees it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.segments.compose import Fill, compose, keep_table
from tasks.segments.framing import Framing, crop_box, cropped


@dataclass(frozen=True, kw_only=True)
class PartPicture:
    """A photo and what a node shows of it.

    Attributes:
        image: uint8 [3, h, w].
        part: bool [h, w], where the node's part is; None for the root, which shows every pixel.
        picture: uint8 [3, y, x], the node's own picture in the photo's resolution; None for the root.
    """

    image: NDArray[np.uint8]
    part: NDArray[np.bool_] | None
    picture: NDArray[np.uint8] | None


def part_picture(
    image: NDArray[np.uint8],
    label_map: NDArray[np.uint8],
    class_ids: tuple[int, ...] | None,
    framing: Framing,
    fill: Fill,
) -> PartPicture:
    """A photo, uint8 [3, h, w], with its label map, uint8 [h, w], as a node shows it, in full resolution."""
    if class_ids is None:
        return PartPicture(image=image, part=None, picture=None)
    part: NDArray[np.bool_] = keep_table(class_ids).numpy()[label_map]
    pixels, labels = image, label_map
    if framing == "crop" and (box := crop_box(label_map, class_ids)):
        pixels, labels = cropped(image, label_map, box)
    pixels_there, labels_there = (torch.from_numpy(array.copy())[None] for array in (pixels, labels))
    picture = compose(pixels_there, labels_there, class_ids, fill)[0].numpy()
    return PartPicture(image=image, part=part, picture=picture)
