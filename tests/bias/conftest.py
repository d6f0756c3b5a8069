"""What the tests of the audit's tables and page share: made-up records, and the pages' parser and Chromium."""

from collections.abc import Callable, Sequence

import pytest

from tasks.bias.amplification import Amplification
from tasks.bias.bias_record import BiasReport, SegmentAudit, WithinGroups
from tasks.bias.group_precision import Cell, GroupPrecision
from tasks.bias.presence import PresenceCount
from tasks.bias.shortcut import Balanced, Drop
from tasks.bias.what_if import Flips, WhatIf
from tasks.metric.compare import Difference
from tasks.metric.evaluation import Precision
from tasks.segments.tree import SegmentTree, TreeNode, parse_tree
from tests.explanation.conftest import browser, evil, open_in_frame, open_page, parse, running_browser

__all__ = ["browser", "evil", "open_in_frame", "open_page", "parse", "running_browser"]  # fixtures, here as there

LABELS = ("man", "woman")
FOUR = {"tree": [["hat", "hair"], ["cloth", "wall"]], "names": {"top": ["hat", "hair"], "low": ["cloth", "wall"]}}


def figure(value: float, n: int = 200) -> Balanced:
    return Balanced(value=value, variance=value * (1 - value) / n, n=n)


def drop(train: float, validation: float, alarm: bool = False) -> Drop:
    return Drop(
        train=figure(train),
        validation=figure(validation),
        value=train - validation,
        p_value=0.0001 if alarm else 0.4,
        alarm=alarm,
    )


def precision(value: float) -> Precision:
    return Precision(at=dict.fromkeys((1, 2, 8), value), intervals=dict.fromkeys((1, 2, 8), (value, value)), n=100)


def flips(share: float) -> Flips:
    return Flips(share=share, interval=(max(0.0, share - 0.05), share + 0.05), photos=64)


def segment_audit(leaf: TreeNode, at: int, flagged: bool, grouped: bool) -> SegmentAudit:
    """A leaf's figures depend on its place; the first one has no model."""
    own = 0.6 + 0.02 * at
    return SegmentAudit(
        segment=leaf.name,
        classes=leaf.classes or (),
        look=None if at == 0 else drop(0.953, 0.641, alarm=True) if flagged else drop(own + 0.01, own),
        presence=drop(0.512, 0.503) if at % 3 == 0 else None,
        shape=figure(0.55),
        background=figure(0.53),
        above_controls=Difference(value=own - 0.55, interval=(own - 0.6, own - 0.5), n=190),
        within=WithinGroups(group="blue", least=figure(0.506 if flagged else own), p_value=0.0001, alarm=flagged)
        if grouped and at
        else None,
        label_function=False,
        p_at_1=Precision.none(0) if at == 0 else precision(own),
    )


def what_if_of(leaf: TreeNode, tree: SegmentTree, at: int, flagged: bool) -> WhatIf:
    path = ["", *(node.name for node in tree.nodes if leaf.name in node.leaves)]
    share = 0.41 if flagged else 0.02 + 0.01 * at
    return WhatIf(
        segment=leaf.name,
        other_label={node: flips(share + 0.002 * i) for i, node in enumerate(path)},
        same_label={node: flips(0.03) for node in path},
    )


def group_figures() -> GroupPrecision:
    values = {("man", "blue"): 0.93, ("man", "red"): 0.58, ("woman", "blue"): 0.71, ("woman", "red"): 0.89}
    cells = tuple(
        Cell(label=label, group=group, photos=50, precision=value, interval=(value - 0.06, value + 0.05))
        for (label, group), value in values.items()
    )
    return GroupPrecision(
        cells=cells, mean=0.778, interval=(0.73, 0.82), worst=cells[1], gap=0.198, gap_interval=(0.11, 0.27)
    )


def bias_report(
    tree: SegmentTree | None = None, flagged: Sequence[str] = ("cloth",), grouped: bool = True
) -> BiasReport:
    """An audit of 400 training and 200 validation photos; the last leaf cannot be exchanged."""
    tree = tree or parse_tree(FOUR)
    leaves = tree.leaves
    audits = [segment_audit(leaf, at, leaf.name in flagged, grouped) for at, leaf in enumerate(leaves)]
    counts = [
        PresenceCount(
            split=split,
            label=label,
            group=group,
            photos=photos,
            showing={leaf.name: photos - at for at, leaf in enumerate(leaves)},
        )
        for split, photos in (("train", 100), ("validation", 50))
        for label in LABELS
        for group in (("blue", "red") if grouped else ("",))
    ]
    return BiasReport(
        source="portraits",
        store="0123abcd",
        labels=LABELS,
        group="group" if grouped else None,
        decision="composed",
        precision=0.778,
        precision_interval=(0.73, 0.82),
        segments=tuple(sorted(audits, key=lambda audit: -audit.score)),
        counts=tuple(counts),
        groups=group_figures() if grouped else None,
        amplification=Amplification(
            group_to_label=0.083,
            group_to_label_interval=(0.021, 0.144),
            label_to_group=-0.004,
            label_to_group_interval=(-0.05, 0.04),
        )
        if grouped
        else None,
        what_if=tuple(what_if_of(leaf, tree, at, leaf.name in flagged) for at, leaf in enumerate(leaves[:-1])),
        tree={node.name: node.children for node in tree.nodes},
        node_precision={node.name: None if node is leaves[0] else 0.6 + 0.05 * node.level for node in tree.nodes},
        seed=3,
    )


@pytest.fixture(scope="session")
def make_report() -> Callable[..., BiasReport]:
    """Makes a record: of four leaves where no tree is given, cloth a shortcut, photos grouped."""
    return bias_report
