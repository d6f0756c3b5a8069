"""A trained tree on any store with the same classes: P@K at every node, by both decisions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks.metric.composed import PartEmbeddings, composed_precision
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.tree_embeddings import embed_tree
from tasks.segments.store import SegmentStore


@dataclass(frozen=True, kw_only=True)
class NodeFigures:
    """A node's figures on a store.

    Attributes:
        own: P@K by the node's own model.
        composed: by the weighted sum of its leaves' distances; None for a leaf, and without a trained leaf.
    """

    own: Precision
    composed: Precision | None


def evaluate_tree(trained: TrainedTree, store: SegmentStore, decoded: Path) -> Iterator[tuple[str, NodeFigures]]:
    """P@K of every node on a store's validation split, children before parents.

    Args:
        trained: the tree; its models run on the device of its options.
        store: classes are matched by name.
        decoded: folder of this machine's decoded splits.

    Raises:
        InputError: as `embed_tree`.
    """
    leaves: dict[str, PartEmbeddings] = {}
    for node, view, embedded in embed_tree(trained, store, decoded):
        if embedded is None:
            yield node.name, NodeFigures(own=Precision.none(len(view)), composed=None)
            continue
        labels = torch.from_numpy(view.labels)
        composed = None
        if not node.children:
            leaves[node.name] = embedded
        elif below := {name: leaves[name] for name in node.leaves if name in leaves}:
            composed = composed_precision(below, trained.weights, embedded.indices, labels)
        own = evaluate(embedded.embeddings, labels, trained.own_distance)
        yield node.name, NodeFigures(own=own, composed=composed)
