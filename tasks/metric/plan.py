"""What a run will find done: the nodes whose identity has a result, known before anything is trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from tasks.metric.averaging import AveragingWeights, average_weights
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.node_result import NodeResult, finished_result
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def finished_nodes(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions, nodes: Path
) -> dict[str, NodeResult]:
    """Results of the nodes that need no training: those whose children are finished and whose own identity is there.

    Args:
        tree: the tree.
        store: the data.
        options: how nodes are trained.
        nodes: folder of the nodes' results.
    """
    finished: dict[str, NodeResult] = {}
    for node in tree.nodes:
        if all(child in finished for child in node.children):
            children = [finished[child].checkpoint_sha256 for child in node.children]
            key = node_subject(node, store, options).key(store, children)
            if result := finished_result(nodes / key, key):
                finished[node.name] = replace(result, node=node.name)
    return finished


def averaging_weights(children: Sequence[NodeResult], averaging: AveragingWeights) -> list[float]:
    """How much each child's weights count in its parent's start.

    Args:
        children: the trained ones.
        averaging: `equal`; `area`, by the share of pixels; or `precision`, by P@1 on the held-out tenth of training.

    Returns:
        One weight a child, not scaled. Equal ones where the figures are missing.
    """
    if averaging == "area":
        weights = [child.area for child in children]
    elif averaging == "precision":
        weights = [child.held_out_precision_at_1 or 0.0 for child in children]
    else:
        weights = [1.0] * len(children)
    return weights if sum(weights) > 0 else [1.0] * len(children)


def starting_weights(children: Sequence[NodeResult], options: TrainingOptions) -> dict[str, Tensor] | None:
    """Average of the trained children's weights; None where there is none, as for a leaf.

    Raises:
        InputError: a checkpoint is not what its result says.
    """
    trained = [child for child in children if child.status == "trained"]
    if not trained:
        return None
    states = [load_checkpoint(child.checkpoint, child.checkpoint_sha256) for child in trained]
    return average_weights(states, averaging_weights(trained, options.averaging))


def untrainable_leaves(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions, decoded: Path
) -> dict[str, str]:
    """Leaves, from the left, up to the first that can be trained: name to the reason why it is degenerate.

    All leaves are in the result only if none can be trained.
    """
    reasons = {}
    for leaf in tree.leaves:
        reason = node_subject(leaf, store, options).data(store, decoded).degenerate
        if not reason:
            break
        reasons[leaf.name] = reason
    return reasons
