"""A node's SFAM sheet: a few fixed validation pairs, the same ones at every node that has the part."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.explanation.sfam import explain_pairs, similarity_of, to_picture_size
from tasks.explanation.sheet import SheetRow, write_sheet
from tasks.metric.distances import bounded_snr_distance
from tasks.metric.losses import loss_family
from tasks.metric.model import EmbeddingModel
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import NodeView

PAIRS_SAME, PAIRS_OTHER = 2, 2


def fixed_pairs(view: NodeView, seed: int) -> list[tuple[int, int]]:
    """Two pairs of one label and two of different labels, each image used once.

    Args:
        view: the validation images as the node sees them.
        seed: of the order in which images are tried; the same order at every node.

    Returns:
        Positions in the view; fewer pairs where images are few.
    """
    order = np.random.default_rng(seed).permutation(len(view.data))
    position = {index: i for i, index in enumerate(view.indices.tolist())}
    free = [position[index] for index in order.tolist() if index in position]
    pairs: list[tuple[int, int]] = []
    for same, wanted in ((True, PAIRS_SAME), (False, PAIRS_OTHER)):
        for _ in range(wanted):
            found = next(
                (
                    (a, b)
                    for i, a in enumerate(free)
                    for b in free[i + 1 :]
                    if (view.labels[a] == view.labels[b]) == same
                ),
                None,
            )
            if found:
                pairs.append(found)
                free = [i for i in free if i not in found]
    return pairs


def write_node_sheet(title: str, model: EmbeddingModel, view: NodeView, options: TrainingOptions, path: Path) -> bool:
    """Write a node's sheet as PNG.

    Args:
        title: over the sheet.
        model: the node's model, in evaluation mode.
        view: its validation images.
        options: the node's: the seed chooses the pairs, the loss brings the similarity that the maps explain.
        path: the PNG.

    Returns:
        False if there are too few images for a pair; nothing is written then.
    """
    pairs = fixed_pairs(view, options.seed)
    if pairs:
        write_pair_sheet(title, model, view, pairs, options, path)
    return bool(pairs)


def write_pair_sheet(
    title: str,
    model: EmbeddingModel,
    view: NodeView,
    pairs: Sequence[tuple[int, int]],
    options: TrainingOptions,
    path: Path,
) -> None:
    """Write pairs of a node's pictures with their maps as PNG.

    Args:
        title: over the sheet.
        model: the node's model, in evaluation mode.
        view: its images.
        pairs: positions in the view, one pair or more.
        options: the node's: the loss brings the similarity that the maps explain.
        path: the PNG.
    """
    a, b = (view.pictures(np.array(side), options.device) for side in zip(*pairs, strict=True))
    maps = explain_pairs(model, a, b, similarity=similarity_of(loss_family(options.loss).own_distance))
    distances = bounded_snr_distance(maps.embeddings[0], maps.embeddings[1]).diagonal()
    shown = [to_picture_size(part, a.shape[-1]).cpu().numpy() for part in (maps.query, maps.support)]

    def name(position: int) -> str:
        return view.data.image_ids[int(view.indices[position])]

    def label(position: int) -> str:
        return view.data.label_names[int(view.labels[position])]

    rows = [
        SheetRow(
            picture_a=a[i].cpu().numpy(),
            picture_b=b[i].cpu().numpy(),
            map_a=shown[0][i],
            map_b=shown[1][i],
            name_a=name(left),
            name_b=name(right),
            label_a=label(left),
            label_b=label(right),
            distance=distances[i].item(),
        )
        for i, (left, right) in enumerate(pairs)
    ]
    write_sheet(title, rows, path)


def sample_pictures(view: NodeView, seed: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Up to two of a node's composed pictures, uint8 [3, h, w], the same images at every node that has the part."""
    positions = [position for pair in fixed_pairs(view, seed)[-1:] for position in pair]
    if not positions:
        return []
    return list(view.pictures(np.array(positions), "cpu").numpy())
