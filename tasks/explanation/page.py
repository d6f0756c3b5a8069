"""The page that explains one pair: index.html, one file that asks the network for nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.explanation.pair_place import PairPlace
from tasks.explanation.picture_uri import map_uri, picture_uri
from tasks.explanation.record import AdditiveReading, NodeExplanation, PairExplanation
from tasks.explanation.rendering import write_html
from tasks.explanation.tree_view import tree_view
from tasks.explanation.wording import absence, missing
from tasks.segments.framing import Box

# Longest sides in pixels: what the page shows at most, on a screen with two device pixels to one of CSS where small.
PHOTO, COMPOSED, MAP = 360, 288, 144
BRIGHT = 0.98  # of the positive pixels of an added-up map: what is above is shown as this


class Spot(NamedTuple):
    """Where a rectangle lies in another one, in per cent of its width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """A node as the templates show it.

    Attributes:
        index: its place in the record; ids are made of it, never of a name.
        node: the record's node.
        pictures: data: addresses of its picture of A and of B.
        maps: the same of the maps; None where there is none.
        spots: where the maps lie in the photos.
        missing: why it has no distance; empty if it has one.
        absence: in which photo the part is absent; empty if both have it. It may have a distance all the same, where
            the tree was trained with blank pictures.
    """

    index: int
    node: NodeExplanation
    pictures: tuple[str, str]
    maps: tuple[str, str] | None
    spots: tuple[Spot, Spot]
    missing: str
    absence: str


@dataclass(frozen=True, kw_only=True)
class TermBar:
    """One bar of the additive reading.

    Attributes:
        name: the leaf.
        value: its squared distance.
        start: where the bar starts, as a share of the chart's width.
        width: its width, likewise.
        absent: "absent in A" or the like; empty if both photos show the part.
    """

    name: str
    value: float
    start: float
    width: float
    absent: str


def write_page(explanation: PairExplanation, path: Path, place: PairPlace | None = None) -> None:
    """Writes the page of one pair.

    Names and labels are data: they are shown as text whatever they hold.

    Args:
        explanation: the pair's.
        path: of the file.
        place: the pair's place in a list of pairs, for the links to the list and to the pairs before and after.
    """
    first, second = ((photo.shape[1], photo.shape[2]) for photo in explanation.photos)
    nodes = [_node_view(index, node, (first, second)) for index, node in enumerate(explanation.nodes)]
    tree = tree_view({node.name: node.children for node in explanation.nodes})
    write_html(
        "pair.html",
        path,
        script="tree.js",
        explanation=explanation,
        place=place,
        root=explanation.root,
        tree=tree,
        nodes=nodes,
        photos=[picture_uri(photo, longest=PHOTO) for photo in explanation.photos],
        shapes=[(100 * min(1.0, width / height), 100 * min(1.0, height / width)) for height, width in (first, second)],
        leaves=most_alike_first(view for view in nodes if not view.node.children),
        bars=[] if explanation.additive is None else term_bars(explanation.additive, nodes),
        composed_maps=[] if explanation.composed_maps is None else [_shown(side) for side in explanation.composed_maps],
    )


def most_alike_first(leaves: Iterable[NodeView]) -> list[NodeView]:
    """Leaves by rising standing, which compares nodes as their distances do not; those without one at the end."""
    far = 101.0  # beyond every percentile
    return sorted(leaves, key=lambda view: far if view.node.standing is None else view.node.standing)


def term_bars(additive: AdditiveReading, nodes: Sequence[NodeView]) -> list[TermBar]:
    """Bars that add up: largest first, each starting where the one before ends; together as wide as the chart."""
    absent = {view.node.name: view.absence for view in nodes}
    total = sum(additive.terms.values())
    bars, reached = [], 0.0
    for name, value in sorted(additive.terms.items(), key=lambda term: -term[1]):
        width = value / total if total > 0 else 0.0
        bars.append(TermBar(name=name, value=value, start=reached, width=width, absent=absent.get(name, "")))
        reached += width
    return bars


def spot(box: Box | None, height: int, width: int) -> Spot:
    """Where a box lies in its photo; None is the whole photo."""
    left, top, right, bottom = box or (0, 0, width, height)
    across, down = 100 / width, 100 / height
    return Spot(left * across, top * down, (right - left) * across, (bottom - top) * down)


def _shown(conserving: NDArray[np.float32]) -> str:
    """A map of either sign for display: what is positive. A small part's few dense pixels must not darken the rest."""
    positive = np.maximum(conserving, 0)
    if positive.any():
        positive = np.minimum(positive / np.quantile(positive[positive > 0], BRIGHT), 1)
    return map_uri(positive, longest=MAP)


def _node_view(index: int, node: NodeExplanation, sizes: tuple[tuple[int, int], tuple[int, int]]) -> NodeView:
    first, second = node.composed
    return NodeView(
        index=index,
        node=node,
        pictures=(picture_uri(first, longest=COMPOSED), picture_uri(second, longest=COMPOSED)),
        maps=None if node.maps is None else (map_uri(node.maps[0], longest=MAP), map_uri(node.maps[1], longest=MAP)),
        spots=(spot(node.boxes[0], *sizes[0]), spot(node.boxes[1], *sizes[1])),
        missing=missing(node),
        absence=absence(node),
    )
