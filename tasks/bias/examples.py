"""Example pairs of a shortcut: photos whose nearest neighbour by the part has another label, with their maps."""

from pathlib import Path

import numpy as np
import torch

from tasks.bias.decided import Decided
from tasks.explanation.node_sheet import write_pair_sheet
from tasks.metric.distances import OWN_DISTANCES_TO
from tasks.metric.precision import rows_at_once
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import split_view
from tasks.segments.store import SegmentStore

PAIRS = 4


def misled_pairs(trained: TrainedTree, decided: Decided, leaf: str) -> list[tuple[int, int]]:
    """Validation photos whose nearest neighbour by a leaf has another label, the nearest pairs first.

    Args:
        trained: the tree.
        decided: its photos.
        leaf: a trained one.

    Returns:
        Up to 4 (photo, neighbour) pairs of positions among the leaf's photos, each photo once.
    """
    part = decided.queries[leaf]
    distance, found = OWN_DISTANCES_TO[trained.own_distance](part.embeddings), []
    for own in torch.split(torch.arange(len(part.embeddings)), rows_at_once(len(part.embeddings))):
        found.append(distance(part.embeddings[own]).scatter(1, own[:, None], torch.inf).min(dim=1))
    nearest = [place for some in found for place in some.indices.tolist()]
    away = [value for some in found for value in some.values.tolist()]
    labels = [decided.labels[index] for index in part.indices.tolist()]
    order = np.argsort(away, kind="stable").tolist()
    pairs: list[tuple[int, int]] = []
    used = set[int]()
    for photo in order:
        neighbour = nearest[photo]
        if labels[photo] != labels[neighbour] and not {photo, neighbour} & used:
            pairs.append((photo, neighbour))
            used |= {photo, neighbour}
    return pairs[:PAIRS]


def write_example_sheet(
    trained: TrainedTree, store: SegmentStore, decided: Decided, leaf: str, decoded: Path, path: Path
) -> bool:
    """Write the pairs with their SFAM maps as PNG.

    Returns:
        False if no photo is misled; nothing is written then.
    """
    pairs, model = misled_pairs(trained, decided, leaf), trained.model(leaf)
    if not pairs or model is None:
        return False
    options = trained.node_options(leaf)
    view = split_view(store, "validation", trained.tree[leaf].class_ids(store.classes), options, decoded)
    title = f"{leaf}: alike by this part, of different labels"
    write_pair_sheet(title, model.to(options.device), view, pairs, options, path)
    return True
