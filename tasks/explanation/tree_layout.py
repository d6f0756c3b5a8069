"""Where the nodes of a tree stand: leaves side by side, every parent above the middle of its children.

Positions are in units (leaf spacings across, rows down), so that a page and a static picture can share them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """A node's position.

    Attributes:
        x: in leaf spacings; the leaves stand at 0, 1, 2, ... from left to right.
        y: row, counted from the root's row 0 downwards; every leaf is in the last row.
    """

    x: float
    y: int


def tree_layout(children: Mapping[str, Sequence[str]]) -> dict[str, Place]:
    """Places the nodes of one tree.

    A node stands as many rows above the leaves as the longest way down from it. So a card up to one spacing wide for
    a leaf, and up to two for an inner node with two children, touches neither a neighbour nor a line to another
    subtree: an inner node's x is at least one spacing from the edge of the strip that its leaves take.

    Args:
        children: every node's name to the names of its children from left to right; none for a leaf. In the order of
            `SegmentTree.nodes`: children before their parent, left before right, the root last.

    Returns:
        Every node's place, in the same order.
    """
    places: dict[str, Place] = {}
    height: dict[str, int] = {}
    leaves = 0
    for name, below in children.items():
        height[name] = 1 + max(height[child] for child in below) if below else 0
        if below:
            x = sum(places[child].x for child in below) / len(below)
        else:
            x = float(leaves)
            leaves += 1
        places[name] = Place(x, height[name])
    top = max(height.values())
    return {name: Place(place.x, top - place.y) for name, place in places.items()}
