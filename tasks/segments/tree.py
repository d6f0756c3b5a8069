"""The segment tree: leaves are segments, pairs are joined until the root shows the full image (HEML's segment tree).

A tree is an immutable value. It comes from nested lists (a preset or a user's YAML) or from balanced pairing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.segments.names import check_name
from tasks.segments.yaml_file import read_yaml

ROOT_NAME = "root"
KEYS = ("tree", "names", "leaves")
MOST_LEAVES = 256  # no pixel is of two leaves, and a label map has one byte a pixel


@dataclass(frozen=True, kw_only=True)
class TreeNode:
    """A named node.

    Attributes:
        name: unique in its tree.
        leaves: names of the leaves below it, left to right (a leaf: its own name).
        classes: names of the classes that it shows; None for the root, which shows every pixel.
        children: names of its two children; empty for a leaf.
        level: 0 for a leaf, else one more than its higher child's.
    """

    name: str
    leaves: tuple[str, ...]
    classes: tuple[str, ...] | None
    children: tuple[str, ...]
    level: int

    def class_ids(self, classes: Mapping[int, str]) -> tuple[int, ...] | None:
        """Ids of the node's classes in a store's class table; None for every pixel."""
        if self.classes is None:
            return None
        return tuple(sorted(class_id for class_id, name in classes.items() if name in self.classes))


@dataclass(frozen=True)
class SegmentTree:
    """A binary tree of segments.

    Attributes:
        nodes: every node, children before their parent, left before right; the last one is the root.
    """

    nodes: tuple[TreeNode, ...]

    @property
    def root(self) -> TreeNode:
        """The node that shows the full image."""
        return self.nodes[-1]

    @property
    def leaves(self) -> tuple[TreeNode, ...]:
        """The leaves, left to right."""
        return tuple(self[name] for name in self.root.leaves)

    @cached_property
    def _by_name(self) -> dict[str, TreeNode]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> TreeNode:
        try:
            return self._by_name[name]
        except KeyError:
            raise InputError(f"the tree has no node {name!r}; it has: {', '.join(self._by_name)}") from None

    def check(self, classes: Iterable[str]) -> None:
        """Check that every class of the tree is in a store.

        Raises:
            InputError: a leaf names a class that is not there.
        """
        known = sorted(set(classes))
        for leaf in self.leaves:
            for name in leaf.classes or ():
                if name not in known:
                    raise InputError(
                        f"the tree's leaf {leaf.name!r} names the segment {name!r}, which the store does not have; "
                        f"it has: {', '.join(known)}"
                    )

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain values, in the form that `parse_tree` reads."""

        def nested(node: TreeNode) -> Any:
            return [nested(self[child]) for child in node.children] or node.name

        return {
            "tree": nested(self.root),
            "names": {node.name: list(node.children) for node in self.nodes if node.children},
            "leaves": {leaf.name: list(leaf.classes or ()) for leaf in self.leaves},
        }


def parse_tree(description: Mapping[str, Any], where: str = "the tree") -> SegmentTree:
    """Build a tree from plain values.

    Args:
        description: `tree`: nested lists of leaf names; a list of more than two is paired in order, an odd one passes
            up. `names` (optional): node name to its two children's names. `leaves` (optional): leaf name to the names
            of the classes that it unites; other leaves are the class of their own name.
        where: what to name in errors.

    Raises:
        InputError: a key is unknown, a leaf or class occurs twice, fewer than two leaves or more than `MOST_LEAVES`, a
            name that fits no pair, or one that can be no name.
    """
    if not isinstance(description, Mapping) or "tree" not in description:
        raise InputError(f"{where} needs a key `tree:` with nested lists of segment names")
    if unknown := set(description) - set(KEYS):
        raise InputError(f"{where} has the unknown key {sorted(map(str, unknown))[0]!r}: use {', '.join(KEYS)}")
    unions = _unions(description.get("leaves") or {}, where)
    names = _names(description.get("names") or {}, where)
    nodes: dict[str, TreeNode] = {}

    def add(node: TreeNode) -> TreeNode:
        if node.name in nodes:
            raise InputError(f"{where} has two nodes named {node.name!r}: each leaf may occur once, each name too")
        if len(nodes) >= 2 * MOST_LEAVES - 1:
            raise InputError(f"{where} has more than {MOST_LEAVES} leaves: a label map cannot tell so many apart")
        check_name(node.name, f"{where} has a node whose name")
        nodes[node.name] = node
        return node

    def build(part: Any, is_root: bool) -> TreeNode:
        if isinstance(part, str):
            return add(TreeNode(name=part, leaves=(part,), classes=unions.get(part, (part,)), children=(), level=0))
        if not isinstance(part, Sequence) or not part:
            raise InputError(f"{where} holds {_cut(repr(part))} where a segment name or a list of them belongs")
        row = [build(child, is_root and len(part) == 1) for child in part]
        while len(row) > 1:
            row = [
                add(_join(row[i : i + 2], names, is_root and len(row) == 2)) if i + 1 < len(row) else row[i]
                for i in range(0, len(row), 2)
            ]
        return row[0]

    def in_order(node: TreeNode) -> Iterator[TreeNode]:
        for child in node.children:
            yield from in_order(nodes[child])
        yield node

    try:
        root = build(description["tree"], True)
    except RecursionError:
        raise InputError(f"{where} is nested too deep: a list under `tree:` may hold itself") from None
    if len(root.leaves) < 2:
        raise InputError(f"{where} needs at least two leaves; it has {len(root.leaves)}")
    for pair in names:
        if not any(node.children in (pair, pair[::-1]) for node in nodes.values()):
            raise InputError(
                f"{where} names a node {names[pair]!r} of {pair[0]} and {pair[1]}, which are no pair in it"
            )
    for name in unions:
        if name not in nodes:
            raise InputError(f"{where} unites classes to a leaf {name!r} that does not occur under `tree:`")
    classes = [name for leaf in root.leaves for name in nodes[leaf].classes or ()]
    if twice := {name for name, count in Counter(classes).items() if count > 1}:
        raise InputError(f"{where} has the class {min(twice)!r} in two leaves: each pixel belongs to one leaf")
    return SegmentTree(tuple(in_order(root)))


def load_tree(path: Path) -> SegmentTree:
    """Read a tree from a YAML file.

    Raises:
        InputError: as `read_yaml` and `parse_tree`.
    """
    description = read_yaml(path, "the tree file")
    return parse_tree(description, where=f"the tree file {path.name}")


def balanced_tree(leaves: Sequence[str]) -> SegmentTree:
    """Pair the leaves in order, the pairs in order, and so on.

    Raises:
        InputError: fewer than two leaves.
    """
    return parse_tree({"tree": list(leaves)}, where="the balanced tree")


def _join(pair: Sequence[TreeNode], names: Mapping[tuple[str, str], str], is_root: bool) -> TreeNode:
    left, right = pair
    leaves = left.leaves + right.leaves
    named = names.get((left.name, right.name)) or names.get((right.name, left.name))
    # Two nodes with the same first leaf differ in their number of leaves, so these names are unique.
    default = ROOT_NAME if is_root else "+".join(leaves) if len(leaves) < 3 else f"{leaves[0]}+{len(leaves) - 1} more"
    classes = None if is_root else (left.classes or ()) + (right.classes or ())
    return TreeNode(
        name=named or default,
        leaves=leaves,
        classes=classes,
        children=(left.name, right.name),
        level=max(left.level, right.level) + 1,
    )


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


def _unions(leaves: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(leaves, Mapping) or not all(
        isinstance(part, list) and part and all(isinstance(name, str) for name in part) for part in leaves.values()
    ):
        raise InputError(
            f"{where} needs under `leaves:` a list of class names for each leaf, such as eyes: [l_eye, r_eye]"
        )
    if sum(map(len, leaves.values())) > MOST_LEAVES:
        raise InputError(f"{where} unites more than {MOST_LEAVES} classes: a label map has no more")
    for name in (name for part in leaves.values() for name in part):
        check_name(name, f"{where} has under `leaves:` a class whose name")
    return {str(name): tuple(part) for name, part in leaves.items()}


def _names(names: Any, where: str) -> dict[tuple[str, str], str]:
    if not isinstance(names, Mapping) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair)
        for pair in names.values()
    ):
        raise InputError(f"{where} needs under `names:` two children for each node, such as face: [skin, nose]")
    if len(names) >= MOST_LEAVES:
        raise InputError(f"{where} names more than {MOST_LEAVES - 1} combined nodes: a tree has no more")
    by_pair: dict[tuple[str, str], str] = {}
    for name, (left, right) in names.items():
        if other := by_pair.get((left, right)) or by_pair.get((right, left)):
            raise InputError(f"{where} has two names for {left} and {right}: {other!r} and {str(name)!r}")
        by_pair[left, right] = str(name)
    return by_pair
