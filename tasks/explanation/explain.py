"""Explain a pair: the tree of distances of two photos, with both SFAM maps at every node (HEML's metric tree)."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.errors import InputError
from tasks.explanation.additive import AdditiveFit, leaf_term
from tasks.explanation.composed_map import place
from tasks.explanation.record import AdditiveReading, NodeExplanation, PairExplanation
from tasks.explanation.sfam import PairMaps, explain_pairs, similarity_of, to_picture_size
from tasks.metric.distances import bounded_snr_distance, snr_distance, squared_euclidean_distance
from tasks.metric.evaluation import percentile
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.compose import compose, present
from tasks.segments.framing import Box, crop_box, frame
from tasks.segments.tree import TreeNode


@dataclass(frozen=True, kw_only=True)
class SegmentedPhoto:
    """A photo with its label map.

    Attributes:
        image: uint8 [3, h, w].
        label_map: uint8 [h, w], class ids of the trained tree's class table.
        name: file name to show.
        label: where known.
    """

    image: NDArray[np.uint8]
    label_map: NDArray[np.uint8]
    name: str
    label: str | None = None


def explain_pair(trained: TrainedTree, a: SegmentedPhoto, b: SegmentedPhoto) -> PairExplanation:
    """Explain two photos under a trained tree.

    Args:
        trained: the tree.
        a, b: the photos.

    Raises:
        InputError: a checkpoint is missing or damaged.
    """
    nodes, embeddings, terms, placed = [], {}, {}, []
    for node in trained.tree.nodes:
        explanation, maps = _explain_node(trained, node, *_framed(trained, (a, b), node))
        explanation = replace(explanation, boxes=_boxes(trained, (a, b), node))
        if maps is not None:
            embeddings[node.name] = maps.embeddings[:, 0].cpu()
        if node.name in trained.weights:
            terms[node.name] = _term(trained, node.name, embeddings.get(node.name), explanation.present)
            if maps is not None and explanation.maps is not None:
                placed.append(_placed(trained, explanation, maps, (a, b)))
        below = [terms[name] for name in node.leaves if name in terms]
        nodes.append(replace(explanation, composed_distance=sum(below) if below else None))
    total = nodes[-1].composed_distance
    return PairExplanation(
        photos=(a.image, b.image),
        names=(a.name, b.name),
        labels=(a.label, b.label),
        nodes=tuple(nodes),
        additive=_additive(trained, embeddings.get(trained.tree.root.name), terms),
        decision=trained.decision,
        composed_percentile=None if total is None else percentile(total, trained.composed_quantiles),
        composed_maps=_added_up(placed),
        typical_distance=_typical_distance(trained, total is not None),
        chance=_chance(trained),
    )


def _placed(
    trained: TrainedTree, leaf: NodeExplanation, maps: PairMaps, photos: tuple[SegmentedPhoto, SegmentedPhoto]
) -> tuple[Tensor, Tensor]:
    """A leaf's conserving maps in the photos' frames, times its weight. They are the cosine's, whatever the loss."""
    model = trained.model(leaf.name)
    if model is not None and similarity_of(trained.own_distance) != "cosine":
        a, b = (torch.from_numpy(picture)[None] for picture in leaf.composed)
        maps = explain_pairs(model, a, b)
    size, weight = trained.nodes[trained.tree.root.name].size, trained.weights[leaf.name]
    sides = []
    for photo, box, conserving in zip(
        photos, leaf.boxes, (maps.query_conserving, maps.support_conserving), strict=True
    ):
        height, width = photo.label_map.shape
        sides.append(weight * place(conserving[0].cpu(), box, (height, width), size))
    return sides[0], sides[1]


def _added_up(placed: list[tuple[Tensor, Tensor]]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    if not placed:
        return None
    a, b = (torch.stack(side).sum(dim=0).float().numpy() for side in zip(*placed, strict=True))
    return a, b


def _framed(
    trained: TrainedTree, photos: tuple[SegmentedPhoto, SegmentedPhoto], node: TreeNode
) -> tuple[Tensor, Tensor]:
    """Both photos as a node gets them: uint8 [2, 3, size, size] and [2, size, size]."""
    kept, class_ids = trained.nodes[node.name], node.class_ids(trained.classes)
    pairs = [frame(photo.image, photo.label_map, class_ids, kept.framing, kept.size) for photo in photos]
    images, label_maps = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    return images, label_maps


def _boxes(
    trained: TrainedTree, photos: tuple[SegmentedPhoto, SegmentedPhoto], node: TreeNode
) -> tuple[Box | None, Box | None]:
    """What of each photo a node sees, as `frame` cuts it."""
    class_ids = node.class_ids(trained.classes)
    if class_ids is None or trained.nodes[node.name].framing != "crop":
        return None, None
    a, b = (crop_box(photo.label_map, class_ids) for photo in photos)
    return a, b


def _typical_distance(trained: TrainedTree, composed: bool) -> float | None:
    """The median over validation pairs of what `PairExplanation.distance` gives."""
    by_sum = composed and trained.decision == "composed"
    quantiles = trained.composed_quantiles / 4 if by_sum else trained.nodes[trained.tree.root.name].quantiles
    return float(np.median(quantiles)) if len(quantiles) else None


def _chance(trained: TrainedTree) -> float | None:
    chance = trained.facts.get("chance")
    if chance is not None and (not isinstance(chance, int | float) or not 0 <= chance <= 1):
        raise InputError(f"{trained.path}/tree.json holds no P@K by chance that can be read: train again")
    return chance


def _explain_node(
    trained: TrainedTree, node: TreeNode, images: Tensor, label_maps: Tensor
) -> tuple[NodeExplanation, PairMaps | None]:
    """The node's record, and its maps where the part is in at least one photo and the node has a model."""
    options, kept = trained.options, trained.nodes[node.name]
    class_ids = node.class_ids(trained.classes)
    composed = compose(images, label_maps, class_ids, options.fill)
    there = present(label_maps, class_ids).tolist()
    model = trained.model(node.name)
    maps = None
    if model is not None and (any(there) or options.absent == "blank"):
        similarity = similarity_of(trained.own_distance)
        maps = explain_pairs(model.to(options.device), composed[:1], composed[1:], similarity=similarity)
    # A part that only one photo has is embedded for the additive reading, but it has no distance of its own.
    shown = maps if all(there) or options.absent == "blank" else None
    snr = bounded = place = unusual = None
    if shown is not None:
        e_a, e_b = shown.embeddings.cpu()
        snr, bounded = snr_distance(e_a, e_b).item(), bounded_snr_distance(e_a, e_b).item()
        place, unusual = (percentile(bounded, among) for among in (kept.quantiles, kept.same_label_quantiles))
    return (
        NodeExplanation(
            name=node.name,
            segments=node.leaves,
            children=node.children,
            level=node.level,
            status=kept.status,
            present=(there[0], there[1]),
            snr_distance=snr,
            bounded_distance=bounded,
            percentile=place,
            same_label_percentile=unusual,
            precision=kept.precision,
            composed_precision=kept.composed,
            composed=(composed[0].numpy(), composed[1].numpy()),
            maps=_maps(shown, kept.size) if shown else None,
            bias_share=(shown.bias_share[0, 0].item(), shown.bias_share[0, 1].item()) if shown else None,
        ),
        maps,
    )


def _maps(maps: PairMaps, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    a, b = (to_picture_size(part, size)[0].cpu().numpy() for part in (maps.query, maps.support))
    return a, b


def _term(trained: TrainedTree, leaf: str, pair: Tensor | None, there: tuple[bool, bool]) -> float:
    """A trained leaf's term of the composed distance."""
    # With blank pictures the weights were learned on the embeddings of those, not on zero vectors.
    blank = trained.options.absent == "blank"
    a, b = (pair[i] if pair is not None and (there[i] or blank) else None for i in (0, 1))
    return trained.weights[leaf] * leaf_term(a, b)


def _additive(trained: TrainedTree, root: Tensor | None, terms: dict[str, float]) -> AdditiveReading | None:
    fields = trained.facts.get("additive")
    if not fields or root is None:
        return None
    try:
        fit = AdditiveFit(**fields)
        if not all(isinstance(value, int | float) for value in vars(fit).values()):
            raise TypeError
    except TypeError:
        raise InputError(f"{trained.path}/tree.json holds no additive fit that can be read: train again") from None
    total = sum(terms.values())
    distance = squared_euclidean_distance(root[:1], root[1:]).item()
    predicted = fit.slope * total + fit.intercept
    return AdditiveReading(
        terms=terms,
        weights=trained.weights,
        total=total,
        root_distance=distance,
        predicted_root_distance=predicted,
        residual=distance - predicted,
        r_squared=fit.r_squared,
        rank_correlation=fit.rank_correlation,
        pairs=fit.pairs,
    )
