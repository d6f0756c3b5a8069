"""Own or composed: each combined node's two decisions, and which one the held-out images prefer (our reading)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.composed import (
    PartEmbeddings,
    composed_distance,
    composed_distance_to,
    composed_precision,
    side_by_side,
)
from tasks.metric.distances import OwnDistance
from tasks.metric.evaluation import IMAGES_FOR_QUANTILES, KS, Precision, evaluate, pair_quantiles
from tasks.metric.node_result import NodeResult
from tasks.metric.part_weights import PartWeights, learn_part_weights
from tasks.metric.precision import precisions_among
from tasks.segments.label_functions import label_functions
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree, TreeNode

Decision = Literal["own", "composed"]
DecisionChoice = Literal["own", "composed", "auto"]
DECISION_CHOICES: tuple[DecisionChoice, ...] = get_args(DecisionChoice)


@dataclass(frozen=True, kw_only=True)
class NodeDecision:
    """A combined node's two decisions.

    Attributes:
        composed: P@K of the composed decision on the validation images.
        held_out_own, held_out_composed: mean of P@1, P@2 and P@8 on the held-out tenth of training; None without any.
            An image is judged by weights that were learned without it.
    """

    composed: Precision
    held_out_own: float | None
    held_out_composed: float | None

    @property
    def preferred(self) -> Decision:
        """The decision with the higher held-out figure; the node's own where they tie."""
        return "composed" if (self.held_out_composed or 0.0) > (self.held_out_own or 0.0) else "own"


@dataclass(frozen=True, kw_only=True)
class TreeDecision:
    """The composed decisions of a tree.

    Attributes:
        weights: trained leaf to its weight; they sum to 1.
        by_presence: leaf whose presence alone gives the label away; "" if there is none. Absence is a zero vector, so
            the composed decision would be the answer itself.
        nodes: combined node to its decisions; degenerate nodes and those without a trained leaf are not there.
        quantiles: float32 [1001], of the composed distance at the root among validation pairs; empty without one.
    """

    weights: dict[str, float]
    by_presence: str
    nodes: dict[str, NodeDecision]
    quantiles: NDArray[np.float32]

    def chosen(self, root: str, choice: DecisionChoice) -> Decision:
        """Which of the root's two decisions is the tree's; its own if it has no other.

        Asked to choose, it takes the one that held-out images prefer, but never the composed one where a leaf's
        presence gives the label away.
        """
        if root not in self.nodes or (choice == "auto" and self.by_presence):
            return "own"
        return self.nodes[root].preferred if choice == "auto" else choice


def decide(
    tree: SegmentTree, store: SegmentStore, results: Mapping[str, NodeResult], own_distance: OwnDistance
) -> TreeDecision:
    """Learn the leaves' weights on held-out images and evaluate both decisions of every combined node.

    Args:
        tree: the tree.
        store: the data that it was trained on.
        results: every node's.
        own_distance: of the nodes' loss.

    Raises:
        InputError: a node's embeddings cannot be read.
    """
    labels = {split: label_numbers(store, split) for split in SPLITS}
    held_out: dict[str, PartEmbeddings] = {}
    validation: dict[str, PartEmbeddings] = {}
    for node in tree.nodes:
        if results[node.name].status == "trained":
            held_out[node.name], validation[node.name] = node_embeddings(results[node.name])
    leaves = [leaf.name for leaf in tree.leaves if leaf.name in held_out]
    parts = {name: held_out[name] for name in leaves}
    images = torch.unique(torch.cat([part.indices for part in parts.values()])) if parts else torch.empty(0).long()
    learned = learn_part_weights(parts, images, labels["train"][images])
    nodes = {}
    for node in tree.nodes:
        below = trained_leaves(node, leaves)
        if not node.children or node.name not in held_out or not below:
            continue
        own = held_out[node.name]
        known = labels["train"][own.indices]
        indices = validation[node.name].indices
        nodes[node.name] = NodeDecision(
            composed=composed_precision(
                {name: validation[name] for name in below}, learned.weights, indices, labels["validation"][indices]
            ),
            held_out_own=evaluate(own.embeddings, known, own_distance, intervals=False).mean,
            held_out_composed=_cross_fitted({name: held_out[name] for name in below}, learned, own.indices, known),
        )
    return TreeDecision(
        weights=learned.weights,
        by_presence=_by_presence(tree, store),
        nodes=nodes,
        quantiles=_quantiles({name: validation[name] for name in leaves}, learned.weights, len(labels["validation"])),
    )


def _cross_fitted(
    leaves: Mapping[str, PartEmbeddings], learned: PartWeights, images: Tensor, labels: Tensor
) -> float | None:
    """Mean of P@1, P@2 and P@8, each image judged among all by weights that were learned without it."""
    shares: dict[int, list[Tensor]] = {k: [] for k in KS if len(images) > k}
    for fold, weights in learned.folds:
        queries = torch.isin(images, fold)
        vectors = side_by_side(leaves, weights, images)
        own = torch.nonzero(queries)[:, 0]
        of_fold = precisions_among(
            composed_distance_to(vectors), vectors[own], labels[own], labels, list(shares), own=own
        )
        for k, parts in shares.items():
            parts.append(of_fold[k])
    return Precision.of_queries({k: torch.cat(parts) for k, parts in shares.items()}, len(images), intervals=False).mean


def _by_presence(tree: SegmentTree, store: SegmentStore) -> str:
    functions = set(label_functions(store))
    return next((leaf.name for leaf in tree.leaves if functions & set(leaf.classes or ())), "")


def _quantiles(leaves: Mapping[str, PartEmbeddings], weights: Mapping[str, float], images: int) -> NDArray[np.float32]:
    """Over all pairs of (up to 2,000 evenly spaced) validation images."""
    if not leaves or images < 2:
        return np.empty(0, dtype=np.float32)
    chosen = torch.linspace(0, images - 1, min(images, IMAGES_FOR_QUANTILES)).long()
    vectors = side_by_side(leaves, weights, chosen)
    return pair_quantiles(composed_distance(vectors, vectors))


def trained_leaves(node: TreeNode, trained: list[str]) -> list[str]:
    """Names of the node's leaves that are among the trained ones, left to right."""
    return [name for name in node.leaves if name in trained]


def node_embeddings(result: NodeResult) -> tuple[PartEmbeddings, PartEmbeddings]:
    """A trained node's embeddings of its held-out and of its validation images.

    Raises:
        InputError: the file cannot be read.
    """
    kept = load_checkpoint(result.embeddings)
    held_out, validation = (
        PartEmbeddings(embeddings=kept[name], indices=kept[f"{name}_indices"]) for name in ("held_out", "validation")
    )
    return held_out, validation


def label_numbers(store: SegmentStore, split: Split) -> Tensor:
    """Each image's label as an index into the sorted labels of the store, int64 [n]."""
    names = sorted({label for of_split in store.labels.values() for label in of_split})
    number = {name: index for index, name in enumerate(names)}
    return torch.tensor([number[label] for label in store.labels[split]], dtype=torch.int64)
