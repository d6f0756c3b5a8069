"""A tree as the pages draw it: where the cards and the lines between them go, and who is whose neighbour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.explanation.tree_layout import tree_layout

# Up to so many leaves, all cards can be large; a leaf's card is wide enough on 1440 px for two pictures side by side.
FEW_LEAVES = 4
ROOMY_LEAVES = 9


@dataclass(frozen=True, kw_only=True)
class Card:
    """One node's card.

    Attributes:
        index: the node's place in the record; the card's id is made of it, never of a name.
        name: the node's name.
        x: the card's middle in leaf spacings from the tree's left edge (the first leaf's is 0.5).
        row: 0 for the root.
        leaf: whether it has no children.
        parent: its parent's index; None for the root.
        child: its first child's index; None for a leaf.
    """

    index: int
    name: str
    x: float
    row: int
    leaf: bool
    parent: int | None
    child: int | None


@dataclass(frozen=True, kw_only=True)
class TreeView:
    """Cards, root first, row by row from left to right, and the lines that join them.

    Attributes:
        leaves: the tree's width in leaf spacings.
        rows: its height in rows.
        cards: the cards.
        lines: SVG path data, one a parent, in leaf spacings and rows. A whole y is the middle of the gap above that
            row's cards, a half y is behind the cards.
    """

    leaves: int
    rows: int
    cards: tuple[Card, ...]
    lines: tuple[str, ...]

    @property
    def density(self) -> Literal["few", "roomy", "dense"]:
        """How much room a card has; the style sheet's name for it."""
        if self.leaves <= FEW_LEAVES:
            return "few"
        return "roomy" if self.leaves <= ROOMY_LEAVES else "dense"


def tree_view(children: Mapping[str, Sequence[str]]) -> TreeView:
    """The view of a tree.

    Args:
        children: every node's name to its children's names, in the order of `SegmentTree.nodes`.
    """
    places = tree_layout(children)
    index = {name: at for at, name in enumerate(children)}
    parent = {child: name for name, below in children.items() for child in below}
    cards = [
        Card(
            index=index[name],
            name=name,
            x=place.x + 0.5,
            row=place.y,
            leaf=not children[name],
            parent=index[parent[name]] if name in parent else None,
            child=index[children[name][0]] if children[name] else None,
        )
        for name, place in places.items()
    ]
    lines = tuple(
        "".join(_line(places[name].x, places[name].y, places[child].x, places[child].y) for child in children[name])
        for name in children
        if children[name]
    )
    return TreeView(
        leaves=sum(card.leaf for card in cards),
        rows=1 + max(card.row for card in cards),
        cards=tuple(sorted(cards, key=lambda card: (card.row, card.x))),
        lines=lines,
    )


def _line(x: float, y: int, child_x: float, child_y: int) -> str:
    """Down from the parent's middle into the gap below it, across, and down to the child's middle."""
    return f"M{x + 0.5:g} {y + 0.5:g}V{y + 1}H{child_x + 0.5:g}V{child_y + 0.5:g}"
