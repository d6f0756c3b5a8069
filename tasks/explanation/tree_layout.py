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
        children: every node's name to the names of its children from left to right; none for a leaf.

    Returns:
        Every node's place, children before parents, the root last.

    Raises:
        ValueError: if this is not one tree.
    """
    order = _children_first(children)
    places: dict[str, Place] = {}
    height: dict[str, int] = {}
    leaves = 0
    for name in order:
        below = children[name]
        height[name] = 1 + max(height[child] for child in below) if below else 0
        if below:
            x = sum(places[child].x for child in below) / len(below)
        else:
            x = float(leaves)
            leaves += 1
        places[name] = Place(x, height[name])
    top = height[order[-1]]
    return {name: Place(place.x, top - place.y) for name, place in places.items()}


def _children_first(children: Mapping[str, Sequence[str]]) -> list[str]:
    """Names in post-order, left to right; checks that they are one tree."""
    parent: dict[str, str] = {}
    for name, below in children.items():
        for child in below:
            if child not in children:
                raise ValueError(f"every child must be a node of the tree; {name!r} has the unknown child {child!r}")
            if child in parent:
                raise ValueError(f"a node has one parent; {child!r} is below {parent[child]!r} and {name!r}")
            parent[child] = name
    roots = [name for name in children if name not in parent]
    if len(roots) != 1:
        raise ValueError(f"a tree has one root; got {len(roots)}: {roots}")
    order: list[str] = []
    waiting = [roots[0]]
    while waiting:
        name = waiting.pop()
        order.append(name)
        waiting.extend(children[name])
    if len(order) != len(children):
        raise ValueError(f"a tree has no circle; {sorted(set(children) - set(order))} cannot be reached from the root")
    # Parent, then right to left, read backwards: left to right, then the parent.
    return order[::-1]
