"""A tree's decision on a store's validation photos: which training photo is nearest to each.

The paper's P@K asks validation photos about each other. A shortcut that validation does not have makes no difference
between groups there: it misleads all alike. What a model does with new photos is shown by asking them about the photos
that it learned from, bias and all (our reading).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.composed import PartEmbeddings, composed_distance, side_by_side
from tasks.metric.distances import OWN_DISTANCES
from tasks.metric.precision import precision_per_query
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.tree_embeddings import embed_tree
from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The validation photos as a trained tree places them among the training photos.

    Attributes:
        queries: the validation photos' embeddings by trained node.
        references: the training photos' embeddings by trained node.
        distances: float64 [n, m] by the tree's decision, every validation photo to every training photo.
        labels: n labels of the validation photos, in the store's order.
        reference_labels: m labels of the training photos.
    """

    queries: dict[str, PartEmbeddings]
    references: dict[str, PartEmbeddings]
    distances: Tensor
    labels: tuple[str, ...]
    reference_labels: tuple[str, ...]

    def nearest(self, values: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
        """Of what value each photo's nearest training photo is: value to shares, float64 [n]; ties by expectation.

        Args:
            values: one a training photo, such as its label.
        """
        names = sorted(set(values))
        numbers = torch.tensor([names.index(value) for value in values])
        asked = torch.zeros(len(self.labels), dtype=torch.long)
        return {
            name: precision_per_query(self.distances, asked + number, numbers, 1).numpy()
            for number, name in enumerate(names)
        }

    def precision(self) -> NDArray[np.float64]:
        """Whether each photo's nearest training photo has its label, float64 [n]; ties count by expectation."""
        near = self.nearest(self.reference_labels)
        unseen = np.zeros(len(self.labels))
        return np.array([near.get(label, unseen)[i] for i, label in enumerate(self.labels)])


def decide_all(trained: TrainedTree, store: SegmentStore, decoded: Path) -> Decided:
    """Embed a store's photos and measure all distances.

    Raises:
        InputError: as `embed_tree`, or the root has no model.
    """
    queries, references = (
        {
            node.name: embedded
            for node, _, embedded in embed_tree(trained, store, decoded, split)
            if embedded is not None
        }
        for split in ("validation", "train")
    )
    labels = {split: tuple(store.columns(split, ["label"])["label"]) for split in SPLITS}
    if trained.tree.root.name not in queries:
        raise InputError(f"the root of {trained.path} has no model, so it decides nothing: train it on more photos")
    asked, among = (torch.arange(len(labels[split])) for split in ("validation", "train"))
    return Decided(
        queries=queries,
        references=references,
        distances=decision_distance(trained, queries, references, asked, among),
        labels=labels["validation"],
        reference_labels=labels["train"],
    )


def decision_distance(
    trained: TrainedTree,
    queries: Mapping[str, PartEmbeddings],
    references: Mapping[str, PartEmbeddings],
    query_images: Tensor,
    reference_images: Tensor,
) -> Tensor:
    """Distance by the tree's decision.

    Args:
        trained: the tree.
        queries, references: embeddings by node; the root's, and for the composed decision every leaf's that is there.
        query_images, reference_images: int64 [n] and [m], which of them.

    Returns:
        float64 [n, m].
    """
    if trained.decision == "composed":
        leaves = [name for name in trained.weights if name in references]
        missing = PartEmbeddings(embeddings=torch.empty(0, trained.options.embedding), indices=torch.empty(0).long())
        x = side_by_side({name: queries.get(name, missing) for name in leaves}, trained.weights, query_images)
        y = side_by_side({name: references[name] for name in leaves}, trained.weights, reference_images)
        return composed_distance(x, y)
    root = trained.tree.root.name
    x, y = queries[root].of(query_images), references[root].of(reference_images)
    return OWN_DISTANCES[trained.own_distance](x, y)
