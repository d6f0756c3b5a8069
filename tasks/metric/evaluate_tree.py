"""A trained tree on any store with the same classes: P@K at every node."""

from collections.abc import Iterator
from pathlib import Path

import torch

from tasks.errors import InputError
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.losses import loss_family
from tasks.metric.model import embed
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import split_view
from tasks.segments.store import SegmentStore


def evaluate_tree(trained: TrainedTree, store: SegmentStore, decoded: Path) -> Iterator[tuple[str, Precision]]:
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
    options = trained.options
    for node in trained.tree.nodes:
        view = split_view(store, "validation", node.class_ids(store.classes), options, decoded)
        model = trained.model(node.name)
        if model is None or not len(view):
            yield node.name, Precision.none(len(view))
            continue
        embeddings = embed(model.to(options.device), view.batches(options.device), options.device)
        yield node.name, evaluate(embeddings, torch.from_numpy(view.labels), loss_family(options.loss).own_distance)
