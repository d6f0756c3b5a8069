"""A trained tree on any store with the same classes: P@K at every node, by both decisions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks.errors import InputError
from tasks.metric.composed import PartEmbeddings, composed_precision
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.model import embed
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import split_view
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
        InputError: the store lacks a class of the tree, or a checkpoint is missing or damaged.
    """
    trained.tree.check(store.classes.values())
    if not store.rows("validation"):
        raise InputError(f"the store {store.path} has no validation images: prepare it with --val above 0")
    leaves: dict[str, PartEmbeddings] = {}
    for node in trained.tree.nodes:
        options = trained.node_options(node.name)
        view = split_view(store, "validation", node.class_ids(store.classes), options, decoded)
        model = trained.model(node.name)
        if model is None or not len(view):
            yield node.name, NodeFigures(own=Precision.none(len(view)), composed=None)
            continue
        embeddings = embed(model.to(options.device), view.batches(options.device), options.device)
        images, labels = torch.from_numpy(view.indices), torch.from_numpy(view.labels)
        composed = None
        if not node.children:
            leaves[node.name] = PartEmbeddings(embeddings=embeddings, indices=images)
        elif below := {name: leaves[name] for name in node.leaves if name in leaves}:
            composed = composed_precision(below, trained.weights, images, labels)
        own = evaluate(embeddings, labels, trained.own_distance)
        yield node.name, NodeFigures(own=own, composed=composed)
