"""What a node sees of a store: which images, and their composed pictures, batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.batches import held_out
from tasks.metric.options import Absent, TrainingOptions
from tasks.segments.compose import Fill, compose, silhouettes
from tasks.segments.decoded import DecodedSplit, decode
from tasks.segments.extent import part_area
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore

EVALUATION_BATCH = 128
LEAST_IMAGES_A_LABEL = 8


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """A split as a node sees it.

    Attributes:
        data: the decoded split.
        class_ids: the classes that the node shows; None for every pixel.
        fill: what stands elsewhere.
        indices: int64 [n], the images that the node uses.
        silhouette: whether it shows the segments' mask alone, white on black, and no photo.
    """

    data: DecodedSplit
    class_ids: tuple[int, ...] | None
    fill: Fill
    indices: NDArray[np.int64]
    silhouette: bool = False

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [n]."""
        return self.data.labels[self.indices]

    def pictures(self, positions: NDArray[np.int64], device: str) -> Tensor:
        """Composed pictures of some of the node's images.

        Args:
            positions: int64 [b], positions in `indices`.
            device: where to compose.

        Returns:
            uint8 [b, 3, h, w] on the device.
        """
        rows = self.indices[positions]
        label_maps = torch.from_numpy(self.data.label_maps[rows]).to(device)
        if self.silhouette:
            return silhouettes(label_maps, self.class_ids)
        images = torch.from_numpy(self.data.images[rows]).to(device)
        return compose(images, label_maps, self.class_ids, self.fill)

    def batches(self, device: str) -> Iterator[Tensor]:
        """All of the node's pictures in order, uint8 [b, 3, h, w] each."""
        for start in range(0, len(self), EVALUATION_BATCH):
            yield self.pictures(np.arange(start, min(start + EVALUATION_BATCH, len(self))), device)

    def subset(self, chosen: NDArray[np.bool_]) -> "NodeView":
        """The images of the whole split that are chosen, bool [n of the split], of those that the node uses."""
        return replace(self, indices=self.indices[chosen[self.indices]])


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """A node's three sets of images.

    Attributes:
        train: trained on (`trained_rows`).
        held_out: of the training split too, but not trained on; epochs are chosen on them (`held_out_rows`).
        validation: reported on.
        area: mean share of the pixels of a training image that the node shows, in [0, 1].
        degenerate: why the node cannot be trained, or "".
    """

    train: NodeView
    held_out: NodeView
    validation: NodeView
    area: float
    degenerate: str


def node_view(data: DecodedSplit, class_ids: tuple[int, ...] | None, fill: Fill, absent: Absent) -> NodeView:
    """A split as a node sees it: with `absent` "skip" only the images that have one of its segments."""
    every = absent == "blank" or class_ids is None
    used = np.arange(len(data)) if every else np.flatnonzero(data.present[:, list(class_ids or ())].any(axis=1))
    return NodeView(data=data, class_ids=class_ids, fill=fill, indices=used)


def split_view(
    store: SegmentStore, split: Split, class_ids: tuple[int, ...] | None, options: TrainingOptions, decoded: Path
) -> NodeView:
    """Open a split as a node sees it.

    Args:
        store: the segment store.
        split: which split.
        class_ids: the classes that the node shows; None for every pixel.
        options: the node's own; size, fill, framing and absent are used.
        decoded: folder of this machine's decoded splits.

    Raises:
        InputError: a picture of the store cannot be decoded.
    """
    data = decode(store, split, options.size, decoded, class_ids if options.framing == "crop" else None)
    return node_view(data, class_ids, options.fill, options.absent)


def training_data(
    store: SegmentStore,
    class_ids: tuple[int, ...] | None,
    options: TrainingOptions,
    decoded: Path,
    *,
    silhouette: bool = False,
) -> TrainingData:
    """Open a node's images: `trained_rows`, `held_out_rows` and the validation split, as far as they show it.

    Args:
        store: the segment store.
        class_ids: the classes that the node shows; None for every pixel.
        options: the node's own; size, fill, framing, absent and seed are used.
        decoded: folder of this machine's decoded splits.
        silhouette: show the mask alone, white on black.

    Raises:
        InputError: a picture of the store cannot be decoded, or its synthetic rows were made with different seeds.
    """
    whole, validation = (
        replace(split_view(store, split, class_ids, options, decoded), silhouette=silhouette) for split in SPLITS
    )
    return TrainingData(
        train=whole.subset(trained_rows(whole.data, options.seed)),
        held_out=whole.subset(held_out_rows(whole.data, options.seed)),
        validation=validation,
        area=_area(store, whole),
        degenerate=_degenerate(whole),
    )


def trained_rows(data: DecodedSplit, seed: int) -> NDArray[np.bool_]:
    """Which rows of a training split are trained on: photos that are not held out, and what was made of these alone.

    Where there are rows that are no photos, the photos are split as they were when these were made, so that nothing
    made of a held-out photo is trained on.

    Args:
        data: the training split.
        seed: of the split, where all rows are photos.

    Returns:
        bool [n], True where trained on.

    Raises:
        InputError: the synthetic rows were made with different seeds.
    """
    return ~_not_trained_on(data, seed)


def held_out_rows(data: DecodedSplit, seed: int) -> NDArray[np.bool_]:
    """Which rows of a training split are judged by: epochs, weights and decisions are chosen on them.

    In a store with rows made of held-out photos these rows alone: they are made so that no two are alike, while each
    is like the photo that it was made of. The held-out photos are then neither trained on nor judged by. In any other
    store the held-out photos.

    Args:
        data: the training split.
        seed: of the split, where all rows are photos.

    Returns:
        bool [n], True where judged by; none of them is in `trained_rows`.

    Raises:
        InputError: the synthetic rows were made with different seeds.
    """
    made = np.zeros(len(data), dtype=np.bool_)
    made[[number for number, side in data.synthetic.items() if side.held_out]] = True
    apart = _not_trained_on(data, seed)
    return made if made.any() else apart


def _not_trained_on(data: DecodedSplit, seed: int) -> NDArray[np.bool_]:
    """The photos that are held out, a tenth, and what was made of them, bool [n]."""
    seeds = {side.seed for side in data.synthetic.values()}
    if len(seeds) > 1:
        raise InputError(
            f"the store's synthetic rows were made with different seeds ({', '.join(map(str, sorted(seeds)))}), so "
            "which photos are held out is not known: make them with one seed"
        )
    photos = np.ones(len(data), dtype=np.bool_)
    photos[list(data.synthetic)] = False
    chosen = np.zeros(len(data), dtype=np.bool_)
    chosen[photos] = held_out(data.labels[photos], next(iter(seeds), seed))
    for number, side in data.synthetic.items():
        chosen[number] = side.held_out
    return chosen


def _degenerate(view: NodeView) -> str:
    """A node with one label only, or with fewer than 8 training images of a label, is not trained (our reading)."""
    names = view.data.label_names
    counts = np.bincount(view.labels, minlength=len(names))
    occurring = np.bincount(view.data.labels, minlength=len(names)) > 0
    if np.count_nonzero(occurring) < 2:
        return "all training images have one label; two are needed"
    for name, count in zip(np.array(names)[occurring].tolist(), counts[occurring].tolist(), strict=True):
        if count < LEAST_IMAGES_A_LABEL:
            return f"{count} training images of the label {name!r} show it; {LEAST_IMAGES_A_LABEL} are needed"
    return ""


def _area(store: SegmentStore, view: NodeView) -> float:
    """Of the whole photo, also where the node sees a crop."""
    if view.class_ids is None:
        return 1.0
    return part_area(store, view.class_ids) * len(view.data) / max(1, len(view))
