"""A source with most of its masks taken away: the way in which a segmenter is needed and can be checked."""

from dataclasses import dataclass
from functools import cached_property

from tasks.segments.source import Item, Photo, Source


@dataclass(frozen=True)
class HiddenMasks:
    """Another source of which only the first photos of the training split keep their masks.

    Attributes:
        inner: the other source.
        known: number of photos that keep their masks.
    """

    inner: Source
    known: int

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.inner.name

    def classes(self) -> dict[int, str]:
        """Class id to name."""
        return self.inner.classes()

    def items(self) -> tuple[Item, ...]:
        """All photos."""
        return self.inner.items()

    @cached_property
    def _kept(self) -> frozenset[str]:
        train = [item.image_id for item in self.inner.items() if item.split == "train"]
        return frozenset(train[: self.known])

    def has_mask(self, item: Item) -> bool:
        """Whether the photo keeps its mask."""
        return item.image_id in self._kept and self.inner.has_mask(item)

    def load(self, item: Item) -> Photo:
        """Read one photo."""
        photo = self.inner.load(item)
        return photo if self.has_mask(item) else photo._replace(label_map=None)
