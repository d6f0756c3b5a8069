"""A new training sample of two photos: the one with a segment of the other."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tasks.bias.hole import without_segment
from tasks.bias.picture import Box, Picture, bounding_box
from tasks.bias.place import BACKGROUND, place_of_segment
from tasks.errors import InputError

__all__ = ["Picture", "exchange_segment"]

FEATHER = 0.015  # of the shorter side; our reading, as the next two
LEAST_COVER = 0.75  # of a pixel of the segment: parts of one pixel's width, such as glasses, would be ghosts else
MOST_GAIN = 1.25  # more would be of persons, not of light, and would drive bright segments into white

_Mask = NDArray[np.bool_]


def exchange_segment(receiver: Picture, donor: Picture, class_ids: tuple[int, ...]) -> Picture:
    """The receiver with the donor's segment in place of its own (our reading of a recombined sample).

    The donor's segment is scaled to the box of the receiver's (colours bilinear and antialiased, class ids the
    nearest); what of the receiver's segment it does not cover is filled from beside. The edge is feathered in the image
    and hard in the label map. Of the colours only the light is matched: all channels are scaled alike, by the median
    ratio of the mean brightness of the parts that both photos show, within 0.8..1.25. So the segment's hue survives,
    which may be what carries the bias.

    A segment that only the receiver has is removed. One that only the donor has is added where `place_of_segment`
    says, and what sticks out of the picture is cut off. Where neither has it, the receiver comes back as it is.

    Args:
        receiver: all else comes from it.
        donor: the segment comes from it; its size may differ.
        class_ids: the segment's classes; each pixel keeps its own.

    Returns:
        A picture of the receiver's size. Its label map is the receiver's to the bit outside of both segments, its image
        outside of their surroundings of three feather widths.

    Raises:
        InputError: the segment has the background, class 0, or the receiver consists of the segment alone, so that
            there is nothing to put another one into.
    """
    if BACKGROUND in class_ids:
        raise InputError("the background (class 0) cannot be exchanged: choose a segment that stands before it")
    old, own = (np.isin(picture.label_map, class_ids) for picture in (receiver, donor))
    if not old.any() and not own.any():
        return receiver
    if old.all():
        raise InputError("the photo consists of the segment alone, so it cannot be exchanged: leave the photo out")
    width = max(1.0, FEATHER * min(old.shape))
    rest = without_segment(receiver, old, width)
    if not own.any():
        return rest
    target = bounding_box(old) if old.any() else place_of_segment(receiver, donor, own)
    return _with_segment(rest, donor, own, target, _light(receiver, old, donor, own), width)


def _light(receiver: Picture, old: _Mask, donor: Picture, own: _Mask) -> float:
    """How much brighter the receiver's light is: the median of the ratios of the parts that both photos show."""
    sums, counts = [], []
    for picture, segment in ((receiver, old), (donor, own)):
        part = np.where(segment, np.uint8(BACKGROUND), picture.label_map).ravel()
        sums.append(np.bincount(part, picture.image.sum(axis=0, dtype=np.uint16).ravel(), minlength=256))
        counts.append(np.bincount(part, minlength=256))
    # Backgrounds differ by themselves: they tell nothing of the light.
    lit = [class_id for class_id in np.flatnonzero(sums[0] * sums[1]) if class_id != BACKGROUND]
    if not lit:
        return 1.0
    ratios = (sums[0][lit] / counts[0][lit]) / (sums[1][lit] / counts[1][lit])
    return float(np.clip(np.median(ratios), 1 / MOST_GAIN, MOST_GAIN))


def _with_segment(rest: Picture, donor: Picture, own: _Mask, target: Box, light: float, width: float) -> Picture:
    """Put the donor's segment into the target box of a picture without one."""
    shape = rest.label_map.shape
    seen = target.padded(0, shape)
    if seen.top == seen.bottom or seen.left == seen.right:
        return rest
    colours, class_ids = _scaled(donor, own, target, seen)
    part = class_ids != BACKGROUND
    colours = np.rint((colours * np.float32(light)).clip(0, 255)) * part[..., None]
    # What is blurred is the segment alone, its colours weighted by its mask: none from beside it in the donor.
    window = seen.padded(math.ceil(3 * width), shape)
    at = tuple(slice(seen[i] - window[i], seen[i + 2] - window[i]) for i in (0, 1))
    layer = np.zeros((window.bottom - window.top, window.right - window.left, 4), dtype=np.uint8)
    layer[at] = np.dstack([colours, part * np.uint8(255)])
    blurred = np.asarray(Image.fromarray(layer).filter(ImageFilter.GaussianBlur(width / 2))).astype(np.float32)
    cover = blurred[..., 3:] / 255
    np.maximum(cover[at], np.float32(LEAST_COVER), out=cover[at], where=part[..., None])
    np.copyto(blurred[at][..., :3], colours * cover[at], where=part[..., None])
    below = rest.image[:, *window.slices]
    mixed = np.ascontiguousarray(below.transpose(1, 2, 0)) * (1 - cover) + blurred[..., :3]
    below[:] = np.rint(mixed, out=mixed).clip(0, 255, out=mixed).astype(np.uint8).transpose(2, 0, 1)
    here = rest.label_map[seen.slices]
    here[part] = class_ids[part]
    return rest


def _scaled(donor: Picture, own: _Mask, target: Box, seen: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The part of the donor's segment that is seen of the target box: uint8 [h, w, 3], and class ids [h, w] or 0."""
    box = bounding_box(own)
    mask = own[box.slices]
    colours = np.dstack(
        [*donor.image[:, *box.slices], mask * np.uint8(255)]
    )  # by its alpha, Pillow leaves out the rest
    class_ids = np.where(mask, donor.label_map[box.slices], np.uint8(BACKGROUND))
    height, width = mask.shape
    across, down = width / (target.right - target.left), height / (target.bottom - target.top)
    source = (
        (seen.left - target.left) * across,
        (seen.top - target.top) * down,
        min(width, (seen.right - target.left) * across),
        min(height, (seen.bottom - target.top) * down),
    )
    size = (seen.right - seen.left, seen.bottom - seen.top)
    scaled = Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR, source)
    nearest = Image.fromarray(class_ids).resize(size, Image.Resampling.NEAREST, source)
    return np.asarray(scaled)[..., :3], np.asarray(nearest)
