"""The record of one audit: what the labels of a data set lean on."""

from dataclasses import asdict, dataclass
from typing import Any

from tasks.bias.amplification import Amplification
from tasks.bias.group_precision import GroupPrecision
from tasks.bias.presence import PresenceCount
from tasks.bias.shortcut import Balanced, Drop
from tasks.bias.what_if import WhatIf
from tasks.metric.compare import Difference
from tasks.metric.evaluation import Precision


@dataclass(frozen=True, kw_only=True)
class WithinGroups:
    """How much less a part tells within the group where it most surely tells less, of new training photos.

    Attributes:
        group: which group.
        least: balanced P@1 of its photos.
        p_value: chance of so low a figure if the part told as much there as over all, one-sided, groups counted.
        alarm: whether it is that low, and no better than chance.
    """

    group: str
    least: Balanced
    p_value: float
    alarm: bool


@dataclass(frozen=True, kw_only=True)
class SegmentAudit:
    """What the label has to do with one leaf.

    Attributes:
        segment: the leaf.
        classes: of the store that it unites.
        look: how well its look tells the label, of new training photos and of validation photos; None if it could not
            be trained.
        presence: how well its being there does, likewise; None where every photo shows it, or none.
        shape: balanced P@1 of its mask alone, of new training photos; None without that control.
        background: of the photo's background alone, among the photos that show the leaf; None likewise.
        above_controls: P@1 of its look less that of the better control, photo by photo; None without one.
        within: how much it tells within groups; None where photos are not grouped, or no group has both labels.
        label_function: whether its presence alone gives the label away.
        p_at_1: of its own model on the validation split.
    """

    segment: str
    classes: tuple[str, ...]
    look: Drop | None
    presence: Drop | None
    shape: Balanced | None
    background: Balanced | None
    above_controls: Difference | None
    within: WithinGroups | None
    label_function: bool
    p_at_1: Precision

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is a shortcut, in words; empty if it is none."""
        found = []
        if self.look is not None and self.look.alarm:
            found.append("its look tells the label of training photos, and less of that of validation photos")
        if self.presence is not None and self.presence.alarm:
            found.append(
                "whether it is there tells the label of training photos, and less of that of validation photos"
            )
        if self.within is not None and self.within.alarm:
            found.append(f"its look tells the label over all, and not within the group {self.within.group}")
        return tuple(found)

    @property
    def score(self) -> float:
        """The largest drop, to validation photos or to a group: of those that raised an alarm, where any did."""
        drops = [(drop.alarm, drop.value) for drop in (self.look, self.presence) if drop is not None]
        if self.look is not None and self.within is not None and self.within.alarm:
            drops.append((True, self.look.train.value - self.within.least.value))
        alarmed = [value for alarm, value in drops if alarm]
        return max(alarmed or [value for _, value in drops], default=0.0)


@dataclass(frozen=True, kw_only=True)
class BiasReport:
    """What an audit found.

    Attributes:
        source: name of the data set.
        store: digest of its store.
        labels: those that both splits have.
        group: what photos are grouped by: "group", a segment, or None.
        decision: the tree's, "own" or "composed", by which the photos are judged.
        precision: P@1 by it, of validation photos asked about the training photos.
        precision_interval: its 95 % interval.
        segments: every leaf, shortcuts first, each kind by falling drop.
        counts: label x group x presence, of both splits.
        groups: P@1 by label and group; None where photos are not grouped.
        amplification: None likewise, or where the splits have no label or no group in common.
        what_if: of every leaf that can be exchanged.
        tree: node to its children's names, children before parents.
        node_precision: node to P@1 of its own model; None if it has none.
        seed: of the folds and of the exchanged photos; bootstrap intervals always draw with 0.
    """

    source: str
    store: str
    labels: tuple[str, ...]
    group: str | None
    decision: str
    precision: float
    precision_interval: tuple[float, float]
    segments: tuple[SegmentAudit, ...]
    counts: tuple[PresenceCount, ...]
    groups: GroupPrecision | None
    amplification: Amplification | None
    what_if: tuple[WhatIf, ...]
    tree: dict[str, tuple[str, ...]]
    node_precision: dict[str, float | None]
    seed: int

    @property
    def chance(self) -> float:
        """Balanced P@1 by chance."""
        return 1 / len(self.labels)

    @property
    def shortcuts(self) -> tuple[SegmentAudit, ...]:
        """The segments that are shortcuts, the largest drop first."""
        return tuple(segment for segment in self.segments if segment.reasons)

    @property
    def plan(self) -> dict[str, Any] | None:
        """How to recombine against the largest shortcut that can be exchanged, as `RecombinationPlan` reads it.

        None without one: the background is none.
        """
        exchanged = {found.segment for found in self.what_if}
        for found in self.shortcuts:
            if found.segment in exchanged:
                classes = list(found.classes)
                return {"segment": found.segment, "classes": classes, "kind": "other-label", "seed": self.seed}
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        fields = asdict(self)
        for segment, found in zip(fields["segments"], self.segments, strict=True):
            segment |= {"score": found.score, "reasons": list(found.reasons)}
        return {**fields, "chance": self.chance, "plan": self.plan}
