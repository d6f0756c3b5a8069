"""The nearest images of an index: each one looked at, or, where they are very many, those that Faiss proposes."""

from typing import NamedTuple

import torch
from torch import Tensor

from tasks.metric.search_index import SearchIndex

IMAGES_AT_ONCE = 4096
PROPOSED = 64  # at least; more than are asked for, since Faiss computes in float32


class Neighbour(NamedTuple):
    """An image near a photo: its number in the store and its distance."""

    number: int
    distance: float


def search(index: SearchIndex, query: Tensor, top: int) -> list[Neighbour]:
    """The nearest images, nearest first; of images at the same distance the one that comes first in the store.

    Exact for an index without cells, in bounded memory. With cells, those in Faiss' answer are ordered by the exact
    distance; how many of the true nearest it finds is said in `cells`.

    Args:
        index: of a node.
        query: float64 [d], of `SearchIndex.query`.
        top: how many, >= 1; an index of fewer images gives them all.

    Raises:
        ValueError: fewer than one is asked for.
    """
    if top < 1:
        raise ValueError(f"a search needs top >= 1; got {top}")
    numbers = index.numbers
    if index.cells is not None:
        numbers = numbers[index.cells.propose(query, max(4 * top, PROPOSED))]
    best = torch.empty(0, dtype=torch.float64)
    kept = numbers[:0]
    for start in range(0, len(numbers), IMAGES_AT_ONCE):
        some = numbers[start : start + IMAGES_AT_ONCE]
        # Numbers ascend, within a block and from block to block, and the sort is stable.
        best, order = torch.cat([best, index.distances(query, some)]).sort(stable=True)
        best, kept = best[:top], torch.cat([kept, some])[order[:top]]
    return [Neighbour(number, distance) for number, distance in zip(kept.tolist(), best.tolist(), strict=True)]
