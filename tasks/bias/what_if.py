"""What if one segment were another photo's: how often does the nearest neighbour's label change, at each node?

Two validation photos of different labels: the first gets a segment of the second. At each node that shows the segment,
and by the tree's decision, its nearest training photo is found anew. A pasted edge is a cue of its own: the same is
done with a donor of the photo's own label, as a control (our reading).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.bias.decided import Decided, decision_vectors
from tasks.bias.exchange import exchange_segment
from tasks.bias.picture import Picture
from tasks.bias.presence import shows
from tasks.metric.composed import PartEmbeddings
from tasks.metric.distances import OWN_DISTANCES
from tasks.metric.embed_photo import embed_photo
from tasks.metric.precision import bootstrap_interval
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.compose import BACKGROUND_CLASS, FILLS
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode

DECISION = ""  # stands for the tree's decision where nodes are named


@dataclass(frozen=True, kw_only=True)
class Flips:
    """How often the nearest neighbour's label changed.

    Attributes:
        share: of the photos, in [0, 1].
        interval: its 95 % interval; photos are resampled.
        photos: how many were asked.
    """

    share: float
    interval: tuple[float, float]
    photos: int


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What exchanging one segment does.

    Attributes:
        segment: the leaf.
        other_label: node, or "" for the tree's decision, to the flips with donors of another label.
        same_label: the same with donors of the photo's own label: what the exchange itself does.
    """

    segment: str
    other_label: dict[str, Flips]
    same_label: dict[str, Flips]


def draw_donors(
    labels: Sequence[str], shown: NDArray[np.bool_], count: int, same: bool, seed: int
) -> list[tuple[int, int]]:
    """Photos and their donors, one of whom shows the segment at least.

    Args:
        labels: of all photos.
        shown: whether each shows the segment, bool [n].
        count: how many photos at most; each is asked once.
        same: whether donors have the photo's own label, or another one.
        seed: of the draw.

    Returns:
        (photo, donor) pairs of indices; photos that have no such donor are left out.
    """
    generator = np.random.default_rng(seed)
    names = np.array(labels)
    pairs: list[tuple[int, int]] = []
    for photo in generator.permutation(len(names)).tolist():
        fits = ((names == names[photo]) == same) & (shown | shown[photo])
        fits[photo] = False
        if fits.any() and len(pairs) < count:
            pairs.append((photo, int(generator.choice(np.flatnonzero(fits)))))
    return pairs


def what_if(
    trained: TrainedTree, store: SegmentStore, decided: Decided, leaf: TreeNode, photos: int, seed: int
) -> WhatIf | None:
    """Exchange a segment between validation photos and count flips.

    Args:
        trained: the tree, with the store's class table.
        store: the data.
        decided: its photos as the tree places them.
        leaf: whose segment.
        photos: how many photos are asked with either kind of donor.
        seed: of their draw.

    Returns:
        The flips; None for the background, which cannot be exchanged.
    """
    class_ids = leaf.class_ids(trained.classes)
    if class_ids is None or BACKGROUND_CLASS in class_ids:
        return None
    path = [node for node in trained.tree.nodes if leaf.name in node.leaves and node.name in decided.references]
    there = shows(store, "validation", leaf.classes or ())
    found = [
        _flips(trained, store, decided, path, class_ids, draw_donors(decided.labels, there, photos, same, seed))
        for same in (False, True)
    ]
    return WhatIf(segment=leaf.name, other_label=found[0], same_label=found[1])


def _flips(
    trained: TrainedTree,
    store: SegmentStore,
    decided: Decided,
    path: Sequence[TreeNode],
    class_ids: tuple[int, ...],
    pairs: list[tuple[int, int]],
) -> dict[str, Flips]:
    changes: dict[str, list[float]] = {}
    numbers, first = sorted({number for pair in pairs for number in pair}), store.rows("train")
    rows = store.at([first + number for number in numbers])
    pictures = {
        number: Picture(decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id))
        for number, row in zip(numbers, rows, strict=True)
    }
    for photo, donor in pairs:
        receiver, giver = pictures[photo], pictures[donor]
        if np.isin(receiver.label_map, class_ids).all():
            continue  # there is nothing to put another one into
        exchanged = exchange_segment(receiver, giver, class_ids)
        for node, changed in _changes(trained, decided, path, receiver, exchanged, photo).items():
            changes.setdefault(node, []).append(changed)
    return {
        node: Flips(share=float(np.mean(own)), interval=bootstrap_interval(np.array(own)), photos=len(own))
        for node, own in changes.items()
    }


def _changes(
    trained: TrainedTree, decided: Decided, path: Sequence[TreeNode], before: Picture, after: Picture, photo: int
) -> dict[str, float]:
    """Node to whether the label of the photo's nearest neighbour changes, 0 or 1; "" for the tree's decision."""
    changed, image = {}, torch.tensor([photo])
    embedded = dict(decided.queries)
    composed = trained.decision == "composed"
    leaves = [leaf for leaf in trained.tree.leaves if leaf.name in decided.references] if composed else []
    for node in {each.name: each for each in (*path, *leaves)}.values():
        if not _differ(before, after, node, trained):
            continue
        made, _ = embed_photo(trained, node.name, *after)
        references, empty = decided.references[node.name], torch.empty(0, trained.options.embedding)
        embedded[node.name] = (
            PartEmbeddings(embeddings=empty, indices=torch.empty(0, dtype=torch.long))
            if made is None
            else PartEmbeddings(embeddings=made[None], indices=image)
        )
        own = decided.queries.get(node.name)
        first = empty if own is None else own.embeddings[own.indices == image]
        if node in path and made is not None and len(first):
            there = [decided.reference_labels[index] for index in references.indices.tolist()]
            distances = OWN_DISTANCES[trained.own_distance](torch.cat([first, made[None]]), references.embeddings)
            one, other = distances.argmin(dim=1).tolist()
            changed[node.name] = float(there[one] != there[other])
    again = decision_vectors(trained, embedded, decided.references, image)
    rows = decided.distance(torch.cat([decided.vectors[photo, None], again]))
    one, other = (decided.reference_labels[place] for place in rows.argmin(dim=1).tolist())
    changed[DECISION] = float(one != other)
    return changed


def _differ(before: Picture, after: Picture, node: TreeNode, trained: TrainedTree) -> bool:
    """Whether a node may see a difference."""
    class_ids = node.class_ids(trained.classes)
    fill = FILLS[trained.options.fill]
    if class_ids is None or fill.of_whole_photo:
        return True
    changed = (before.image != after.image).any(axis=0) | (before.label_map != after.label_map)
    shown = [*class_ids, BACKGROUND_CLASS] if fill.keeps_background else list(class_ids)
    return bool(np.isin(before.label_map[changed], shown).any() or np.isin(after.label_map[changed], shown).any())
