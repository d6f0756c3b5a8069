"""A node's picture: the photo with only the node's segments in it, composed from the label map in one look-up."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Fill = Literal["black", "mean", "blur", "background"]
BACKGROUND_CLASS = 0
N_CLASSES = 256  # a label map has one byte a pixel
BLUR_SHARE = 16  # the blur's box is 1/16 of the shorter side: forms go, colours stay


@dataclass(frozen=True, kw_only=True)
class FillKind:
    """What stands where a node's segments are not.

    Attributes:
        stand_in: from images, uint8 [n, 3, h, w], to what stands in the other pixels, uint8 [n, 3, h or 1, w or 1];
            None is black.
        keeps_background: whether the background class (0) is kept as well.
    """

    stand_in: Callable[[Tensor], Tensor] | None = None
    keeps_background: bool = False

    @property
    def shows_background(self) -> bool:
        """Whether a picture may tell where the photo was taken: a mean colour hardly does."""
        return self.keeps_background or self.stand_in is _blurred

    @property
    def of_whole_photo(self) -> bool:
        """Whether a pixel outside the node's segments may change the picture."""
        return self.stand_in is not None


def keep_table(class_ids: Iterable[int] | None, device: torch.device | str = "cpu") -> Tensor:
    """Which class ids a node keeps, as a table to look label maps up in.

    Args:
        class_ids: ids in 0..255; None keeps every pixel (the root).
        device: where the table is to lie.

    Returns:
        bool [256].

    Raises:
        ValueError: an id is outside 0..255.
    """
    table = torch.full((N_CLASSES,), class_ids is None)
    for class_id in class_ids or ():
        if not 0 <= class_id < N_CLASSES:
            raise ValueError(f"class ids are 0..255, one byte a pixel; got {class_id}")
        table[class_id] = True
    return table.to(device)


def present(label_maps: Tensor, class_ids: Iterable[int] | None) -> Tensor:
    """Whether each image has at least one pixel of the node's segments (our reading of "present").

    Args:
        label_maps: uint8 [n, h, w].
        class_ids: the node's class ids; None for every pixel.

    Returns:
        bool [n].
    """
    return keep_table(class_ids, label_maps.device)[label_maps.long()].flatten(1).any(dim=1)


def compose(images: Tensor, label_maps: Tensor, class_ids: Iterable[int] | None, fill: Fill = "black") -> Tensor:
    """Keep the pixels of the given classes and fill the others (HEML, Figure 3; but for `background`, our reading).

    Args:
        images: uint8 [n, 3, h, w].
        label_maps: uint8 [n, h, w], the class id of every pixel.
        class_ids: ids to keep; None keeps every pixel.
        fill: what stands in the other pixels, one of `FILLS`.

    Returns:
        uint8 [n, 3, h, w].

    Raises:
        ValueError: the shapes do not fit, an id is outside 0..255, or the fill is unknown.
    """
    if images.ndim != 4 or label_maps.shape != (images.shape[0], *images.shape[2:]):
        raise ValueError(
            "compose needs images [n,3,h,w] and label maps [n,h,w] of the same size; "
            f"got {list(images.shape)} and {list(label_maps.shape)}"
        )
    if fill not in FILLS:
        raise ValueError(f"unknown fill {fill!r}: one of {', '.join(FILLS)}")
    if class_ids is None:
        return images
    kind = FILLS[fill]
    ids = {*class_ids, BACKGROUND_CLASS} if kind.keeps_background else class_ids
    keep = keep_table(ids, images.device)[label_maps.long()].unsqueeze(1)
    return images * keep if kind.stand_in is None else torch.where(keep, images, kind.stand_in(images))


def silhouettes(label_maps: Tensor, class_ids: Iterable[int] | None) -> Tensor:
    """The node's mask alone: white where its segments are, black elsewhere (a control, our reading).

    Args:
        label_maps: uint8 [n, h, w].
        class_ids: the node's class ids; None for every pixel.

    Returns:
        uint8 [n, 3, h, w], 0 or 255.
    """
    keep = keep_table(class_ids, label_maps.device)[label_maps.long()].to(torch.uint8)
    return (255 * keep).unsqueeze(1).expand(-1, 3, -1, -1)


def _blurred(images: Tensor) -> Tensor:
    """Two passes of a box filter, edges averaged over what is inside the image."""
    radius = max(1, min(images.shape[2:]) // BLUR_SHARE)
    blurred = images.float()
    for _ in range(2):
        blurred = torch.nn.functional.avg_pool2d(
            blurred, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False
        )
    return blurred.round().to(torch.uint8)


def _mean_colour(images: Tensor) -> Tensor:
    return images.float().mean(dim=(2, 3), keepdim=True).round().to(torch.uint8)


FILLS: Mapping[Fill, FillKind] = {
    "black": FillKind(),
    "mean": FillKind(stand_in=_mean_colour),
    "blur": FillKind(stand_in=_blurred),
    "background": FillKind(keeps_background=True),  # as in the paper's figure
}
