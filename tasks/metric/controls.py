"""What a leaf's figure says above its controls: the shape of its mask, and the background (our reading)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.metric.compare import Difference, compare_nodes
from tasks.metric.composed import PartEmbeddings
from tasks.metric.decision import label_numbers, node_embeddings
from tasks.metric.distances import OwnDistance
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.losses import loss_family
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import BACKGROUND_CONTROL, shape_control_name
from tasks.segments.compose import FILLS, Fill
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


@dataclass(frozen=True, kw_only=True)
class Controlled:
    """A leaf beside its controls, all three among the leaf's images.

    Attributes:
        shape: P@K of the mask alone; None if it could not be trained.
        background: P@K of the background alone; None likewise.
        above: how much higher the leaf's P@1 is than the better control's, of those whose pixels it shows; None
            without one.
    """

    shape: Precision | None
    background: Precision | None
    above: Difference | None


def judge_controls(
    tree: SegmentTree,
    store: SegmentStore,
    options: TrainingOptions,
    results: Mapping[str, NodeResult],
    controls: Sequence[NodeResult],
) -> dict[str, Controlled]:
    """Every trained leaf beside its controls, on the validation images.

    Args:
        tree: the tree.
        store: the data.
        options: how it was trained.
        results: every node's.
        controls: those of `subject.background_control` and `subject.shape_control`; without any nothing is judged.

    Raises:
        InputError: embeddings cannot be read.
    """
    if not controls:
        return {}
    # Apart: a leaf may be called what a control is called.
    parts, beside = (
        {result.node: node_embeddings(result)[1] for result in of if result.status == "trained"}
        for of in (results.values(), controls)
    )
    labels = label_numbers(store, "validation")
    own_distance = loss_family(options.loss).own_distance
    return {
        leaf.name: controlled(
            parts[leaf.name],
            beside.get(shape_control_name(leaf.name)),
            beside.get(BACKGROUND_CONTROL),
            labels,
            own_distance,
            options.fill,
        )
        for leaf in tree.leaves
        if leaf.name in parts
    }


def controlled(
    leaf: PartEmbeddings,
    shape: PartEmbeddings | None,
    background: PartEmbeddings | None,
    labels: Tensor,
    own_distance: OwnDistance,
    fill: Fill,
) -> Controlled:
    """Judge a leaf and its controls on the same images.

    Args:
        leaf, shape, background: embeddings of one split.
        labels: int64, of the whole split.
        own_distance: of their loss.
        fill: of the leaf's pictures.
    """

    def among_the_leaf_s(part: PartEmbeddings | None) -> Precision | None:
        if part is None:
            return None
        shared = torch.isin(part.indices, leaf.indices)
        return evaluate(part.embeddings[shared], labels[part.indices[shared]], own_distance)

    figures = (among_the_leaf_s(shape), among_the_leaf_s(background))
    rivals = [(shape, figures[0])]
    if FILLS[fill].shows_background:
        rivals.append((background, figures[1]))
    known = [(figure.at[1], part) for part, figure in rivals if part and figure and figure.at[1] is not None]
    above = None
    if known:
        _, rival = max(known, key=lambda pair: pair[0] or 0.0)
        above = compare_nodes(leaf, rival, labels, own_distance)
    return Controlled(shape=figures[0], background=figures[1], above=above)
