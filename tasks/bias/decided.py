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
from tasks.metric.composed import PartEmbeddings, composed_distance_to, side_by_side
from tasks.metric.distances import OWN_DISTANCES_TO, DistanceTo
from tasks.metric.precision import precision_per_query, rows_at_once
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.tree_embeddings import embed_tree
from tasks.segments.store import SegmentStore


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The validation photos as a trained tree places them among the training photos.

    Attributes:
        queries: the validation photos' embeddings by trained node.
        references: the training photos' embeddings by trained node.
        vectors: float64 [n, d], of the validation photos by the tree's decision.
        distance: by that decision, from vectors to every training photo. All of them, [n, m], are never held.
        labels: n labels of the validation photos, in the store's order.
        reference_labels: m labels of the training photos.
    """

    queries: dict[str, PartEmbeddings]
    references: dict[str, PartEmbeddings]
    vectors: Tensor
    distance: DistanceTo
    labels: tuple[str, ...]
    reference_labels: tuple[str, ...]

    def nearest(self, values: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
        """Of what value each photo's nearest training photo is: value to shares, float64 [n]; ties by expectation.

        Args:
            values: one a training photo, such as its label.
        """
        names = sorted(set(values))
        number = {name: place for place, name in enumerate(names)}
        numbers = torch.tensor([number[value] for value in values])
        shares: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        for some in torch.split(self.vectors, rows_at_once(len(values))):
            rows = self.distance(some)
            for name, parts in shares.items():
                asked = torch.full((len(rows),), number[name])
                parts.append(precision_per_query(rows, asked, numbers, 1).numpy())
        return {name: np.concatenate(parts) for name, parts in shares.items()}

    def precision(self) -> NDArray[np.float64]:
        """Whether each photo's nearest training photo has its label, float64 [n]; ties count by expectation."""
        near = self.nearest(self.reference_labels)
        unseen = np.zeros(len(self.labels))
        return np.array([near.get(label, unseen)[i] for i, label in enumerate(self.labels)])


def decide_all(trained: TrainedTree, store: SegmentStore, decoded: Path) -> Decided:
    """Embed a store's photos, ready to be asked for neighbours.

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
    if trained.tree.root.name not in queries:
        raise InputError(f"the root of {trained.path} has no model, so it decides nothing: train it on more photos")
    asked, among = (torch.arange(len(store.labels[split])) for split in ("validation", "train"))
    return Decided(
        queries=queries,
        references=references,
        vectors=decision_vectors(trained, queries, references, asked),
        distance=decision_distance_to(trained, decision_vectors(trained, references, references, among)),
        labels=store.labels["validation"],
        reference_labels=store.labels["train"],
    )


def decision_vectors(
    trained: TrainedTree,
    embedded: Mapping[str, PartEmbeddings],
    references: Mapping[str, PartEmbeddings],
    images: Tensor,
) -> Tensor:
    """Photos as the tree's decision measures between them.

    Args:
        trained: the tree.
        embedded: their embeddings by node; the root's, and for the composed decision every leaf's that is there.
        references: those of the photos that they are compared with: they say which leaves count.
        images: int64 [n], which photos.

    Returns:
        float64 [n, d].
    """
    if trained.decision != "composed":
        return embedded[trained.tree.root.name].of(images)
    missing = PartEmbeddings(embeddings=torch.empty(0, trained.options.embedding), indices=torch.empty(0).long())
    leaves = {name: embedded.get(name, missing) for name in trained.weights if name in references}
    return side_by_side(leaves, trained.weights, images)


def decision_distance_to(trained: TrainedTree, vectors: Tensor) -> DistanceTo:
    """The tree's decision as a distance to photos, float64 [m, d] of `decision_vectors`."""
    composed = trained.decision == "composed"
    return composed_distance_to(vectors) if composed else OWN_DISTANCES_TO[trained.own_distance](vectors)
