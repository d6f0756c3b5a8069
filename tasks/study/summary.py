"""From the results of a training to the record of a study's row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.metric.avsl_training import avsl_distances
from tasks.metric.compare import Difference, compare_nodes
from tasks.metric.composed import PartEmbeddings, composed_distance, side_by_side
from tasks.metric.controls import judge_controls
from tasks.metric.decision import decide, label_numbers, node_embeddings, trained_leaves
from tasks.metric.distances import OWN_DISTANCES, OwnDistance
from tasks.metric.knn import balanced_knn_accuracy
from tasks.metric.losses import loss_family
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.precision import precision_per_query
from tasks.metric.subject import Subject, node_subject
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree, TreeNode
from tasks.study.row_result import NodeRow, RowResult


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """P@1 of each image, and the balanced accuracy of its neighbours' vote."""

    shares: tuple[float, ...]
    balanced: float | None


NO_FIGURES = _Figures(shares=(), balanced=None)


def summarise_tree(
    row: str,
    key: str,
    tree: SegmentTree,
    store: SegmentStore,
    options: TrainingOptions,
    results: Mapping[str, NodeResult],
    controls: Sequence[NodeResult],
) -> RowResult:
    """The record of a tree's training.

    Args:
        row: the row's name.
        key: digest of all that it depends on.
        tree: the tree.
        store: the data.
        options: how it was trained.
        results: every node's.
        controls: the controls', if any.

    Raises:
        InputError: a node's embeddings cannot be read.
    """
    own_distance = loss_family(options.loss).own_distance
    decisions = decide(tree, store, results, own_distance)
    beside = judge_controls(tree, store, options, results, controls)
    labels = label_numbers(store, "validation")
    parts = {name: node_embeddings(result)[1] for name, result in results.items() if result.status == "trained"}
    nodes = {}
    for node in tree.nodes:
        result, subject = results[node.name], node_subject(node, store, options)
        part = parts.get(node.name)
        decision = decisions.nodes.get(node.name)
        best, above = _above_best_child(node, results, parts, labels, own_distance)
        own = _figures(_own_distances(part, own_distance), labels[part.indices]) if part else NO_FIGURES
        composed = NO_FIGURES
        if part is not None and decision is not None:
            below = {leaf: parts[leaf] for leaf in trained_leaves(node, list(decisions.weights))}
            vectors = side_by_side(below, decisions.weights, part.indices)
            composed = _figures(composed_distance(vectors, vectors), labels[part.indices])
        nodes[node.name] = NodeRow(
            children=node.children,
            status=result.status,
            framing=subject.options.framing,
            size=subject.options.size,
            own=result.precision,
            composed=decision.composed if decision else None,
            weight=decisions.weights.get(node.name),
            seconds=result.seconds,
            pictures=result.epochs * result.train_images,
            images=tuple(part.indices.tolist()) if part else (),
            shares=own.shares,
            composed_shares=composed.shares,
            balanced=own.balanced,
            composed_balanced=composed.balanced,
            best_child=best,
            above_child=above,
            controls=beside.get(node.name),
        )
    return RowResult(
        row=row,
        seed=options.seed,
        key=key,
        whole=tree.root.name,
        decision=decisions.chosen(tree.root.name, "auto"),
        nodes=nodes,
    )


def summarise_baseline(row: str, key: str, subject: Subject, store: SegmentStore, result: NodeResult) -> RowResult:
    """The record of a baseline's training.

    Raises:
        InputError: its embeddings cannot be read.
    """
    labels = label_numbers(store, "validation")
    figures, images = NO_FIGURES, torch.empty(0)
    if result.status == "trained":
        part = node_embeddings(result)[1]
        images = part.indices
        if subject.avsl:
            distances = avsl_distances(result, len(images))
        else:
            distances = _own_distances(part, loss_family(subject.options.loss).own_distance)
        figures = _figures(distances, labels[images])
    node = NodeRow(
        children=(),
        status=result.status,
        framing=subject.options.framing,
        size=subject.options.size,
        own=result.precision,
        composed=None,
        weight=None,
        seconds=result.seconds,
        pictures=result.epochs * result.train_images,
        images=tuple(images.tolist()),
        shares=figures.shares,
        composed_shares=(),
        balanced=figures.balanced,
        composed_balanced=None,
        best_child=None,
        above_child=None,
        controls=None,
    )
    return RowResult(
        row=row, seed=subject.options.seed, key=key, whole=subject.name, decision="own", nodes={subject.name: node}
    )


def _own_distances(part: PartEmbeddings, own_distance: OwnDistance) -> Tensor:
    return OWN_DISTANCES[own_distance](part.embeddings, part.embeddings)


def _figures(distances: Tensor, labels: Tensor) -> "_Figures":
    if len(labels) < 2:
        return NO_FIGURES
    shares = precision_per_query(distances, labels, labels, 1, exclude_self=True)
    return _Figures(shares=tuple(shares.tolist()), balanced=balanced_knn_accuracy(distances, labels))


def _above_best_child(
    node: TreeNode,
    results: Mapping[str, NodeResult],
    parts: Mapping[str, PartEmbeddings],
    labels: Tensor,
    own_distance: OwnDistance,
) -> tuple[str | None, Difference | None]:
    """The child with the highest P@1, and how much higher the node's own is on the images that both have."""
    scored = [(value, child) for child in node.children if (value := results[child].precision.at[1]) is not None]
    if not scored or node.name not in parts:
        return None, None
    best = max(scored)[1]
    return best, compare_nodes(parts[node.name], parts[best], labels, own_distance)
