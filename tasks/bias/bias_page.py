"""The page of one audit: which parts are shortcuts, why, and what the tree makes of them; one file, no network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.bias.bias_record import BiasReport, SegmentAudit
from tasks.bias.bias_words import amplified, directions, grouping, ordered, reading, verdict
from tasks.bias.gap import LEAST_PHOTOS
from tasks.bias.shortcut import Balanced
from tasks.bias.what_if import DECISION, WhatIf
from tasks.explanation.picture_uri import sheet_uri
from tasks.explanation.rendering import write_html
from tasks.explanation.tree_view import tree_view
from tasks.segments.source import SPLITS

SHEET = 1400  # longest side in pixels


@dataclass(frozen=True, kw_only=True)
class NodeView:
    """A node as the template shows it.

    Attributes:
        index: its place in the record's tree; ids are made of it, never of a name.
        name: the node's name.
        leaves: names of the leaves below it (for a leaf: its own name).
        score: P@1 of its own model; None if it has none.
        shortcuts: those of its leaves that are shortcuts.
        what_if: of every leaf below it that was exchanged, by falling share of flips at this node.
    """

    index: int
    name: str
    leaves: tuple[str, ...]
    score: float | None
    shortcuts: tuple[str, ...]
    what_if: tuple[WhatIf, ...]


@dataclass(frozen=True, kw_only=True)
class LargestDrop:
    """The largest drop of all.

    Attributes:
        what: of what, and to which photos, in words.
        before: balanced P@1 of new training photos.
        after: of the photos that it drops to.
        alarm: whether it makes the part a shortcut.
    """

    what: str
    before: Balanced
    after: Balanced
    alarm: bool

    @property
    def value(self) -> float:
        """In [-1, 1]."""
        return self.before.value - self.after.value


def write_bias_page(report: BiasReport, examples: Mapping[str, bytes], path: Path) -> None:
    """Write the page of an audit.

    Args:
        report: what the audit found.
        examples: shortcut to a sheet of example pairs with their maps, an encoded PNG; those that there are.
        path: the file.
    """
    write_html(
        "bias.html",
        path,
        script="tree.js",
        report=report,
        headline=headline([found.segment for found in report.shortcuts]),
        grouping=grouping(report),
        photos={split: sum(count.photos for count in report.counts if count.split == split) for split in SPLITS},
        largest=largest_drop(report),
        sheets={name: sheet_uri(sheet, longest=SHEET) for name, sheet in examples.items()},
        tree=tree_view(report.tree),
        nodes=node_views(report),
        given_away=[segment.segment for segment in report.segments if segment.label_function],
        verdict=verdict,
        least_photos=LEAST_PHOTOS,
        decision=DECISION,
        what_if=ordered(report.what_if, DECISION),
        amplification={} if report.amplification is None else directions(report.amplification),
        amplified=amplified,
        reading=reading(report),
    )


def headline(shortcuts: list[str]) -> str:
    """What was found, in words."""
    if not shortcuts:
        return "No shortcut found"
    return (
        f"{shortcuts[0]} is a shortcut"
        if len(shortcuts) == 1
        else f"{len(shortcuts)} shortcuts: {', '.join(shortcuts)}"
    )


def largest_drop(report: BiasReport) -> LargestDrop | None:
    """The largest drop over all leaves, to validation photos or to a group; None where nothing was judged."""
    return max(
        (drop for segment in report.segments for drop in _drops(segment)), key=lambda drop: drop.value, default=None
    )


def node_views(report: BiasReport) -> list[NodeView]:
    """Every node, in the record's order."""
    shortcuts = {found.segment for found in report.shortcuts}
    leaves: dict[str, tuple[str, ...]] = {}
    for name, children in report.tree.items():
        leaves[name] = sum((leaves[child] for child in children), ()) or (name,)
    return [
        NodeView(
            index=index,
            name=name,
            leaves=leaves[name],
            score=report.node_precision[name],
            shortcuts=tuple(leaf for leaf in leaves[name] if leaf in shortcuts),
            what_if=tuple(found for found in ordered(report.what_if, name) if found.segment in leaves[name]),
        )
        for index, name in enumerate(report.tree)
    ]


def _drops(segment: SegmentAudit) -> Iterator[LargestDrop]:
    """The drops that the leaf's score is the largest of."""
    for of, drop in (("look", segment.look), ("presence", segment.presence)):
        if drop is not None:
            what = f"{of} of {segment.segment}, to validation photos"
            yield LargestDrop(what=what, before=drop.train, after=drop.validation, alarm=drop.alarm)
    if segment.look is not None and segment.within is not None and segment.within.alarm:
        what = f"look of {segment.segment}, to the group {segment.within.group}"
        yield LargestDrop(what=what, before=segment.look.train, after=segment.within.least, alarm=True)
