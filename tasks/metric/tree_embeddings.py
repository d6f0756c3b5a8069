"""What every node of a trained tree makes of a store's photos."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from tasks.errors import InputError
from tasks.metric.composed import PartEmbeddings
from tasks.metric.model import embed
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import NodeView, split_view
from tasks.segments.source import Split
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode


class EmbeddedNode(NamedTuple):
    """A node, the photos that it uses, and their embeddings; None if it is degenerate or no photo shows its part."""

    node: TreeNode
    view: NodeView
    embedded: PartEmbeddings | None


def embed_tree(
    trained: TrainedTree, store: SegmentStore, decoded: Path, split: Split = "validation"
) -> Iterator[EmbeddedNode]:
    """Embed a split of a store by every node, children before parents.

    Args:
        trained: the tree; its models run on the device of its options.
        store: classes are matched by name.
        decoded: folder of this machine's decoded splits.
        split: which split.

    Raises:
        InputError: the store lacks a class of the tree or has no validation photos, or a checkpoint is missing or
            damaged.
    """
    trained.tree.check(store.classes.values())
    if not store.rows("validation"):
        raise InputError(f"the store {store.path} has no validation images: prepare it with --val above 0")
    for node in trained.tree.nodes:
        options = trained.node_options(node.name)
        view = split_view(store, split, node.class_ids(store.classes), options, decoded)
        model = trained.model(node.name)
        if model is None or not len(view):
            yield EmbeddedNode(node, view, None)
            continue
        embeddings = embed(model.to(options.device), view.batches(options.device), options.device)
        yield EmbeddedNode(node, view, PartEmbeddings(embeddings=embeddings, indices=torch.from_numpy(view.indices)))
