"""What a node is trained with: the tree's options, with the node's own framing and input size (our reading)."""

import math
from collections.abc import Iterable
from dataclasses import replace

from tasks.metric.options import TrainingOptions
from tasks.segments.extent import part_extent
from tasks.segments.framing import MARGIN
from tasks.segments.store import SegmentStore

MAGNIFIED = 2  # a crop shows its part about twice as large as the whole photo does, where the size allows
STEP = 16  # sizes are multiples of it: a trunk halves them four times
SMALLEST = 32


def node_options(options: TrainingOptions, class_ids: Iterable[int] | None, store: SegmentStore) -> TrainingOptions:
    """A node's own options.

    The input size of a crop follows the part's extent in the training images: a small part gets more of its pixels
    than in the whole photo, and costs less. `auto` crops the parts for which that is so, and shows the others in the
    whole photo. The root always sees the whole photo.

    Args:
        options: the tree's; framing is `full`, `crop` or `auto`.
        class_ids: the classes that the node shows; None for every pixel.
        store: the data that the tree is trained on.

    Returns:
        Options with framing `full` or `crop`, and the node's size.
    """
    if class_ids is None or options.framing == "full":
        return replace(options, framing="full")
    size = _crop_size(part_extent(store, class_ids), options.size)
    if options.framing == "auto" and size == options.size:
        return replace(options, framing="full")
    return replace(options, framing="crop", size=size)


def pixel_share(own: TrainingOptions, whole: TrainingOptions) -> float:
    """Pixels of a node's batch as a share of the full-size node's, in (0, 1].

    What a training step keeps between forward and backward grows with them, and is most of the memory that it takes.

    Args:
        own: the node's own options.
        whole: the tree's.
    """
    return (own.size / whole.size) ** 2


def _crop_size(extent: float, size: int) -> int:
    wanted = extent * (1 + 2 * MARGIN) * size * MAGNIFIED
    return min(size, max(SMALLEST, math.ceil(wanted / STEP) * STEP))
