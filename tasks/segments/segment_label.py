"""The label "has this segment", read from a photo's label map instead of a column.

HEML labels two of its studies so: Human Parsing by "has a Dress segment", SceneParse150 by "has a building segment".
Splits and samples keep the shares of the labels, so every photo's label has to be known before the first photo is
taken: each mask is read once a process, also with a limit, and the photos are not.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.source import Item, Source
from tasks.segments.stratify import some


@dataclass(frozen=True, kw_only=True)
class SegmentLabel:
    """A label that says whether a photo has a segment.

    Attributes:
        segment: name of a class of the masks; it is the label of the photos that have it, "no NAME" of the others.
        share: least share of the photo's pixels, in [0, 1); 0 takes any pixel.
    """

    segment: str
    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(f"the label's share of the pixels must be 0 or more and below 1; got {self.share}")

    def of(self, label_map: NDArray[np.uint8], class_id: int) -> str:
        """The label of a photo.

        Args:
            label_map: uint8 [h, w].
            class_id: the segment's.
        """
        pixels = np.count_nonzero(label_map == class_id)
        present = pixels > 0 and pixels / label_map.size >= self.share
        return self.segment if present else f"no {self.segment}"


class MaskSource(Source, Hashable, Protocol):
    """A source that can read a photo's label map without the photo."""

    def load_label_map(self, item: Item) -> NDArray[np.uint8] | None:
        """Label map, uint8 [h, w], of a photo; None if the source has no mask for it. InputError as `load`."""
        ...


def label_by_segment(source: MaskSource, items: Sequence[Item], label: SegmentLabel) -> list[Item]:
    """Give photos the label that their masks say.

    Args:
        source: reads the masks.
        items: its photos, whose labels are replaced.
        label: which segment decides.

    Returns:
        The same photos in the same order.

    Raises:
        InputError: there are no masks, none for some photo, no such segment, or a mask cannot be read.
    """
    classes = masked_classes(
        source, items, f"the label {label.segment!r}", f"whether they have the segment {label.segment!r} is unknown"
    )
    ids = {name: class_id for class_id, name in classes.items()}
    if label.segment not in ids:
        raise InputError(f"the masks of {source.name} have no segment {label.segment!r}: they have {', '.join(ids)}")
    return list(_labelled(source, tuple(items), label, ids[label.segment]))


def masked_classes(source: MaskSource, items: Sequence[Item], label: str, unknown: str) -> dict[int, str]:
    """The class table of a source whose photos all have masks, as a label that is read from them needs it.

    Args:
        source: reads the masks.
        items: its photos.
        label: what is to be read from the masks, for the message.
        unknown: what is unknown of a photo without one, for the message.

    Raises:
        InputError: there are no masks, or none for some photo.
    """
    classes = source.classes()
    if not classes:
        raise InputError(
            f"{label} is to be read from masks, and {source.name} comes without: name its masks, or a label column"
        )
    bare = [item.image_id for item in items if not source.has_mask(item)]
    if bare:
        raise InputError(
            f"{source.name} has no mask for {some(bare)}, so {unknown}: add their masks, or leave the photos out"
        )
    return classes


@lru_cache(maxsize=4)
def _labelled(source: MaskSource, items: tuple[Item, ...], label: SegmentLabel, class_id: int) -> tuple[Item, ...]:
    """Items are asked for several times in a run; their fingerprints change with the masks, so this may be kept."""
    labelled = []
    for item in items:
        label_map = source.load_label_map(item)
        assert label_map is not None  # `has_mask` said so
        labelled.append(replace(item, label=label.of(label_map, class_id)))
    return tuple(labelled)
