"""The label "what there is most of": the class with the largest share of a photo's pixels (our reading).

It makes a data set with masks and without labels one that can be searched and asked for few-shot classes. The label is
a function of the mask, so say so wherever figures on it are shown.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.segment_label import MaskSource, masked_classes
from tasks.segments.source import Item

# What the classes of "none of these" are called; in whatever case.
VOID_NAMES = ("void", "unknown", "unlabeled", "unlabelled", "background", "other")
LEAST_PHOTOS = 10  # at a validation share of 0.2, 8 are left to train on: a node needs so many of each label
NO_CLASS = "no class but those that are no label"


@dataclass(frozen=True, kw_only=True)
class DominantLabel:
    """A label that says which class has the most pixels.

    Attributes:
        excluded: names of classes that are no label; None for those of `VOID_NAMES` that there are.
        least_photos: photos of a class with fewer are left out.

    Raises:
        InputError: fewer than two photos are to be enough for a label.
    """

    excluded: tuple[str, ...] | None = None
    least_photos: int = LEAST_PHOTOS

    def __post_init__(self) -> None:
        if self.least_photos < 2:
            raise InputError(f"a label needs at least 2 photos, one for each split; got {self.least_photos}")

    def of(self, label_map: NDArray[np.uint8], classes: Mapping[int, str]) -> str | None:
        """The label of a photo: of classes with equally many pixels, the one with the lowest id.

        Args:
            label_map: uint8 [h, w].
            classes: class id to name, without those that are no label.

        Returns:
            None if the photo shows none of the classes.
        """
        pixels = np.bincount(label_map.ravel(), minlength=256)
        best = max(sorted(classes), key=lambda class_id: pixels[class_id])
        return classes[best] if pixels[best] else None


def label_by_dominant(
    source: MaskSource, items: Sequence[Item], label: DominantLabel
) -> tuple[list[Item], dict[str, int]]:
    """Give photos the label that their masks say, and leave out those of rare labels.

    Args:
        source: reads the masks.
        items: its photos, whose labels are replaced.
        label: which classes count, and how many photos a label needs.

    Returns:
        The photos that are left, in the same order; and class name to the number of its photos that are left out, the
        most frequent first.

    Raises:
        InputError: there are no masks, none for some photo, an excluded class is not there, every class is excluded,
            every label is too rare, or a mask cannot be read.
    """
    named = masked_classes(source, items, "the class with the most pixels", "what there is most of in them is unknown")
    if unknown := sorted(set(label.excluded or ()) - set(named.values())):
        raise InputError(
            f"the masks of {source.name} have no segment {unknown[0]!r} to leave out: they have "
            + ", ".join(named.values())
        )
    classes = {class_id: name for class_id, name in named.items() if not _excluded(name, label.excluded)}
    if not classes:
        raise InputError(f"every class of {source.name} is left out: leave one in that can be a label")
    found = _dominant(source, tuple(items), label, tuple(classes.items()))
    photos = Counter(found)
    rare = {name: count for name, count in photos.most_common() if name is None or count < label.least_photos}
    kept = [replace(item, label=name) for item, name in zip(items, found, strict=True) if name and name not in rare]
    if items and not kept:
        raise InputError(
            f"no class has the most pixels in {label.least_photos} photos of {source.name}: it is "
            + ", ".join(f"{name or NO_CLASS} in {count}" for name, count in photos.most_common(5))
            + "; ask for fewer photos a label, or give more photos"
        )
    return kept, {name or NO_CLASS: count for name, count in rare.items()}


def _excluded(name: str, excluded: tuple[str, ...] | None) -> bool:
    return name.lower() in VOID_NAMES if excluded is None else name in excluded


@lru_cache(maxsize=4)
def _dominant(
    source: MaskSource, items: tuple[Item, ...], label: DominantLabel, classes: tuple[tuple[int, str], ...]
) -> tuple[str | None, ...]:
    """Items are asked for several times in a run; their fingerprints change with the masks, so this may be kept."""
    labels = []
    for item in items:
        label_map = source.load_label_map(item)
        assert label_map is not None  # `masked_classes` said so
        labels.append(label.of(label_map, dict(classes)))
    return tuple(labels)
