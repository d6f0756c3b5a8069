"""The images of a store as a search by one node sees them: vectors whose squared Euclidean distance gives the order.

Every distance is brought to that form (our reading). Of L2-normalised embeddings the squared Euclidean distance is it
already, and the cosine distance is half of it. The SNR distance `var(x - y) / var(x)` is the squared distance of the
centred embeddings over the squared length of the centred x, the photo that is searched for. The composed distance is
it of the leaves' embeddings side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.cells import Cells, open_cells
from tasks.metric.composed import PartEmbeddings, side_by_side
from tasks.metric.decision import Decision, DecisionChoice
from tasks.metric.distances import OwnDistance
from tasks.metric.part_index import PartIndex, index_folder, open_part_indexes
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.store import SegmentStore

SearchDistance = OwnDistance | Literal["composed"]
EXACT_UP_TO = 100_000  # images; beyond, Faiss proposes
NO_VARIANCE = 1e-30  # as in `distances`: a rounding error of the mean is no variance


@dataclass(frozen=True, kw_only=True)
class SearchIndex:
    """A node's index, opened. Open one with `open_search_index`, search it with `nearest.search`.

    Attributes:
        parts: the node's own embeddings, or its trained leaves'.
        weights: of the parts.
        numbers: int64 [n], ascending: numbers in the store of the images that show the node's part.
        distance: by which images are near.
        cells: what proposes candidates; None where there are few enough images to look at each.
    """

    parts: Mapping[str, PartEmbeddings]
    weights: Mapping[str, float]
    numbers: Tensor
    distance: SearchDistance
    cells: Cells | None = None

    def vectors(self, numbers: Tensor) -> Tensor:
        """The vectors of some images, int64 [m] -> float64 [m, d]."""
        return self._centred(side_by_side(self.parts, self.weights, numbers))

    def query(self, embeddings: Mapping[str, Tensor | None]) -> Tensor:
        """A photo's vector, float64 [d].

        Args:
            embeddings: of each part, float [dimensions of the part]; None where the photo lacks the part.

        Raises:
            InputError: the SNR distance from this photo is not defined.
        """
        parts, alone = {}, torch.zeros(1, dtype=torch.int64)
        for name, part in self.parts.items():
            given = embeddings[name]
            parts[name] = (
                PartEmbeddings(embeddings=part.embeddings[:0], indices=alone[:0])
                if given is None
                else PartEmbeddings(embeddings=given[None], indices=alone)
            )
        vector = self._centred(side_by_side(parts, self.weights, alone))[0]
        if self.distance == "snr" and vector.square().mean() < NO_VARIANCE:
            raise InputError(
                "the photo's embedding has no variance, so no SNR distance is defined: train the node anew"
            )
        return vector

    def distances(self, query: Tensor, numbers: Tensor) -> Tensor:
        """From a photo to some images, float64 [d] and int64 [m] -> float64 [m]."""
        # Differences, not products: equal images are at equal distances whatever their place.
        squared = (self.vectors(numbers) - query).square().sum(dim=1)
        if self.distance == "cosine":
            return squared / 2
        return squared / query.square().sum() if self.distance == "snr" else squared

    def _centred(self, vectors: Tensor) -> Tensor:
        return vectors - vectors.mean(dim=1, keepdim=True) if self.distance == "snr" else vectors


def search_decision(trained: TrainedTree, name: str, choice: DecisionChoice) -> Decision:
    """Which of a node's decisions a search goes by. "auto": the tree's, where the node has it, else its own.

    Raises:
        InputError: there is no such node, it is degenerate, or the composed decision is asked of one that has none.
    """
    node, kept = trained.tree[name], trained.nodes[name]
    if kept.file is None:
        raise InputError(f"the node {name!r} has no model to search by, it is degenerate: {kept.reason}")
    if kept.composed is not None:
        return trained.decision if choice == "auto" else choice
    if choice == "composed":
        why = "none of its leaves is trained" if node.children else "it is a leaf"
        raise InputError(f"the node {name!r} has no composed decision ({why}): use --decision own")
    return "own"


def open_search_index(
    trained: TrainedTree, store: SegmentStore, name: str, decision: Decision, decoded: Path
) -> SearchIndex:
    """Open a node's index of both splits of a store; what is missing or of another model is built first.

    Args:
        trained: the tree; its models run on the device of its options.
        store: classes are matched by name.
        name: of the node.
        decision: one that the node has (`search_decision`).
        decoded: folder of this machine's decoded splits.

    Raises:
        InputError: the store lacks a class of the tree, a checkpoint is damaged, the index cannot be written, no image
            shows the part, or Faiss is needed and not installed.
        ValueError: the node is degenerate.
    """
    trained.tree.check(store.classes.values())
    names = [name]
    if decision == "composed":
        names = [leaf for leaf in trained.tree[name].leaves if leaf in trained.weights]
    opened = open_part_indexes(trained, store, names, decoded)
    numbers = torch.unique(torch.cat([kept.part.indices[kept.present] for kept in opened.values()]))
    if not len(numbers):
        raise InputError(f"no image of the store {store.path} shows {name!r}: search by another node")
    index = SearchIndex(
        parts={part: kept.part for part, kept in opened.items()},
        weights=trained.weights if decision == "composed" else {name: 1.0},
        numbers=numbers,
        distance="composed" if decision == "composed" else trained.own_distance,
    )
    return index if len(numbers) <= EXACT_UP_TO else _with_cells(index, opened, index_folder(store))


def _with_cells(index: SearchIndex, opened: Mapping[str, PartIndex], folder: Path) -> SearchIndex:
    facts = {
        "parts": [[name, kept.facts] for name, kept in opened.items()],  # in the order in which their vectors lie
        "weights": {name: index.weights[name] for name in opened},
        "distance": index.distance,
    }
    cells = open_cells(folder, facts, index.numbers, index.vectors)
    return replace(index, cells=cells)
