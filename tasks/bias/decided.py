"""A tree's decision on a store's validation photos: how far each is from each, by its default decision at the root."""

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
from tasks.segments.store import SegmentStore


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The validation photos as a trained tree places them.

    Attributes:
        nodes: embeddings by trained node.
        distances: float64 [n, n] by the tree's decision, every photo to every other; a query a row.
        labels: n labels, in the store's order.
    """

    nodes: dict[str, PartEmbeddings]
    distances: Tensor
    labels: tuple[str, ...]

    def nearest(self, values: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
        """Of what value each photo's nearest other one is: value to shares, float64 [n]; ties count by expectation.

        Args:
            values: one a photo, such as its label.
        """
        names = sorted(set(values))
        numbers = torch.tensor([names.index(value) for value in values])
        return {
            name: precision_per_query(
                self.distances, torch.full_like(numbers, number), numbers, 1, exclude_self=True
            ).numpy()
            for number, name in enumerate(names)
        }

    def precision(self, k: int = 1) -> NDArray[np.float64]:
        """P@K of each photo, float64 [n]."""
        names = sorted(set(self.labels))
        numbers = torch.tensor([names.index(label) for label in self.labels])
        return precision_per_query(self.distances, numbers, numbers, k, exclude_self=True).numpy()


def decide_all(trained: TrainedTree, store: SegmentStore, decoded: Path) -> Decided:
    """Embed a store's validation photos and measure all distances.

    Raises:
        InputError: as `embed_tree`; the root has no model; or there are fewer than two photos.
    """
    nodes = {node.name: embedded for node, _, embedded in embed_tree(trained, store, decoded) if embedded is not None}
    labels = tuple(store.columns("validation", ["label"])["label"])
    if trained.tree.root.name not in nodes:
        raise InputError(f"the root of {trained.path} has no model, so it decides nothing: train it on more photos")
    if len(labels) < 2:
        raise InputError(f"an audit needs two validation photos or more; {store.path} has {len(labels)}")
    images = torch.arange(len(labels))
    return Decided(nodes=nodes, distances=decision_distance(trained, nodes, nodes, images, images), labels=labels)


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
