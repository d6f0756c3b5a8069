"""SFAM sheets of right and wrong answers: a query beside what it was given, and beside its own label where wrong.

An answer is a set of images. In retrieval it is the nearest one; in few-shot classification the support images of the
class that the query is given. The query's map is against their prototype, and theirs against the query (our reading:
with one image that is SFAM of the pair).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.explanation.prototype_sfam import explain_to_targets
from tasks.explanation.sfam import similarity_of, to_picture_size
from tasks.explanation.sheet import TILE, SheetRow, write_sheet
from tasks.explanation.wording import number
from tasks.metric.distances import OWN_DISTANCES, OwnDistance, bounded_snr_distance
from tasks.metric.episodes import Episode, nearest_classes
from tasks.metric.model import EmbeddingModel
from tasks.metric.retrieval import answerable_queries
from tasks.metric.training_data import NodeView

ANSWERS = 3  # of each kind on a sheet
LARGE_TILE = 288  # pixels: for several pictures in one
BETWEEN = 4  # pixels, between the pictures of an answer
EMPTY = np.array([[[0xEC]], [[0xEE]], [[0xF1]]], dtype=np.uint8)  # the sheet's ground under a picture
Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a query was given, as positions in a view.

    Attributes:
        query: the query.
        given: images that it was given.
        own: images of its own label that it should have been given; empty where the answer is right.
    """

    query: int
    given: tuple[int, ...]
    own: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A few answers of each kind; fewer than asked for where there are no more."""

    right: tuple[Answer, ...]
    wrong: tuple[Answer, ...]

    @classmethod
    def first(cls, right: Mapping[int, Answer], wrong: Mapping[int, Answer], count: int) -> "Answers":
        """The first few of each kind, from a label's number to the answer to a query of it."""
        return cls(right=tuple(islice(right.values(), count)), wrong=tuple(islice(wrong.values(), count)))


def retrieval_answers(distances: Tensor, labels: Tensor, seed: int, count: int = ANSWERS) -> Answers:
    """Queries with their nearest image; where it has another label, also with the nearest of their own.

    Args:
        distances: float [n, n], query to reference; of images at one distance the first is taken.
        labels: int64 [n].
        seed: of the order in which queries are tried.
        count: answers of each kind, no two of them to queries of one label.
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(answerable_queries(labels).numpy()))
    right: dict[int, Answer] = {}
    wrong: dict[int, Answer] = {}
    for query in order.tolist():
        label = int(labels[query])
        others = distances[query].clone()
        others[query] = torch.inf
        nearest = int(others.argmin())
        if labels[nearest] == label:
            right.setdefault(label, Answer(query=query, given=(nearest,)))
        else:
            own = int(others.masked_fill(labels != label, torch.inf).argmin())
            wrong.setdefault(label, Answer(query=query, given=(nearest,), own=(own,)))
    return Answers.first(right, wrong, count)


def episode_answers(embeddings: Tensor, episodes: Iterable[Episode], own_distance: OwnDistance) -> Answers:
    """Queries with the support images of the class that they are given; where it is another, also of their own.

    Args:
        embeddings: float [n, d].
        episodes: in the order in which they are tried, each for one answer of a kind at most; queries between two
            classes are passed over.
        own_distance: of the node's loss.

    Returns:
        `ANSWERS` of each kind, no two of them to queries of one label.
    """
    right: dict[int, Answer] = {}
    wrong: dict[int, Answer] = {}
    for episode in episodes:
        if min(len(right), len(wrong)) >= ANSWERS:
            break
        nearest = nearest_classes(embeddings, episode, own_distance)
        support = [tuple(images) for images in episode.support.tolist()]
        decided, given = nearest.sum(dim=2) == 1, nearest.double().argmax(dim=2)
        own = given == torch.arange(len(support))[:, None]
        for kind, answered in ((right, decided & own), (wrong, decided & ~own)):
            for way, place in answered.nonzero().tolist():
                label, query, found = int(episode.labels[way]), int(episode.queries[way, place]), int(given[way, place])
                if label not in kind:
                    needed = () if found == way else support[way]
                    kind[label] = Answer(query=query, given=support[found], own=needed)
                    break
    return Answers.first(right, wrong, ANSWERS)


def write_answer_sheet(
    title: str,
    model: EmbeddingModel,
    view: NodeView,
    embeddings: Tensor,
    answers: Sequence[Answer],
    own_distance: OwnDistance,
    device: str,
    path: Path,
) -> bool:
    """Write answers as PNG: a row for what each query was given, and one for its own label where that was wrong.

    Args:
        title: over the sheet.
        model: the node's model, in evaluation mode, on the device.
        view: the images.
        embeddings: float [n, d], of the view's images.
        answers: positions in the view.
        own_distance: of the node's loss; the note under a row tells it.
        device: "cpu" or "cuda".
        path: the PNG.

    Returns:
        False if there is no answer; nothing is written then.
    """
    rows = []
    for answer in answers:
        for images, words in ((answer.given, "given"), (answer.own, "its own label")):
            if images:
                rows.append(_row(model, view, embeddings, answer.query, images, words, own_distance, device))
    if rows:
        several = max(len(answer.given) for answer in answers) > 1
        write_sheet(title, rows, path, sides=("query", "answer"), tile=LARGE_TILE if several else TILE)
    return bool(rows)


def _row(
    model: EmbeddingModel,
    view: NodeView,
    embeddings: Tensor,
    query: int,
    images: tuple[int, ...],
    words: str,
    own_distance: OwnDistance,
    device: str,
) -> SheetRow:
    """A query beside images of one label."""
    pictures = view.pictures(np.array([query, *images]), device)
    vectors = torch.nn.functional.normalize(embeddings[[query, *images]].double(), dim=1)
    asked, prototype = vectors[:1], vectors[1:].mean(dim=0, keepdim=True)
    targets = torch.cat([prototype, asked.expand(len(images), -1)])
    explained = explain_to_targets(model, pictures, targets, similarity_of(own_distance))
    maps = to_picture_size(explained, pictures.shape[-1]).cpu().numpy()
    shown = pictures.cpu().numpy()
    label, other = (view.data.label_names[int(view.labels[position])] for position in (query, images[0]))
    distance = OWN_DISTANCES[own_distance](asked, prototype).item()
    return SheetRow(
        picture_a=shown[0],
        picture_b=side_by_side(shown[1:], EMPTY),
        map_a=maps[0],
        map_b=side_by_side(maps[1:], np.zeros(1, maps.dtype)),
        name_a=_name(view, query),
        name_b=_name(view, images[0]) if len(images) == 1 else f"{len(images)} support images",
        label_a=label,
        label_b=other,
        distance=bounded_snr_distance(asked, prototype).item(),
        note=f"{words}, distance {number(distance, 3)}",
    )


def side_by_side(pictures: NDArray[Pixel], empty: NDArray[Pixel]) -> NDArray[Pixel]:
    """Pictures in rows and columns, as near to a square as it gets.

    Args:
        pictures: [n, ..., h, w].
        empty: what stands between them and after the last one, one picture's shape or less.

    Returns:
        [..., rows * (h + 4) - 4, columns * (w + 4) - 4]; one picture as it is.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    height, width = pictures.shape[-2:]
    shape = (*pictures.shape[1:-2], rows * (height + BETWEEN) - BETWEEN, columns * (width + BETWEEN) - BETWEEN)
    whole = np.full(shape, empty)
    for place, picture in enumerate(pictures):
        top, left = place // columns * (height + BETWEEN), place % columns * (width + BETWEEN)
        whole[..., top : top + height, left : left + width] = picture
    return whole


def _name(view: NodeView, position: int) -> str:
    return view.data.image_ids[int(view.indices[position])]
