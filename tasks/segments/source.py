"""What a source of photos is: a fixed list of items, each of which can be loaded alone.

A source is a small picklable value, so that a shard of the segment store can be made by any worker, at any time,
from the source and the shard's items.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One photo of a source, before it is read.

    Attributes:
        image_id: unique name of the photo in its source.
        split: the split that it belongs to.
        label: what the metric is to tell apart.
        group: a protected attribute for the bias report, or None.
        fingerprint: changes when the photo or its mask changes (size and time of the files, or the generator's
            parameters); part of the shard's key.
    """

    image_id: str
    split: Split
    label: str
    group: str | None = None
    fingerprint: str = ""


class Photo(NamedTuple):
    """A photo as it came, and its label map where the source has one.

    Attributes:
        image: JPEG or PNG bytes.
        path: file name to show, not to open.
        label_map: class id of every pixel, same height and width as the image; None if the source has no mask for it.
    """

    image: bytes
    path: str
    label_map: NDArray[np.uint8] | None


class Source(Protocol):
    """A place that photos come from."""

    @property
    def name(self) -> str:
        """Name of the data set: it becomes the MLflow experiment's name."""
        ...

    def classes(self) -> dict[int, str]:
        """Class id (0..255) to name. Empty if the source has no masks: the segmenter's classes are used then."""
        ...

    def items(self) -> tuple[Item, ...]:
        """All photos, in a deterministic order.

        Raises:
            InputError: the source's description (labels, classes, folders) is wrong.
        """
        ...

    def has_mask(self, item: Item) -> bool:
        """Whether the source has a label map for the photo."""
        ...

    def load(self, item: Item) -> Photo:
        """Read one photo.

        Raises:
            InputError: it cannot be read, or its mask does not fit.
        """
        ...
