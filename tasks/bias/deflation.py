"""Before and after: what each remedy against a shortcut did, on photos that are not synthetic."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.bias.gap import gap_difference
from tasks.bias.group_precision import GroupPrecision
from tasks.metric.compare import Difference

RECOMBINE, SAME_LABEL, REWEIGHT, SUBSAMPLE = "recombine", "same-label paste", "reweight", "subsample"
REMEDIES = (RECOMBINE, SAME_LABEL, REWEIGHT, SUBSAMPLE)
RIVALS = (REWEIGHT, SUBSAMPLE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a tree reaches on the validation photos by its default decision.

    Attributes:
        name: "before", or the remedy's.
        images: rows of the training split: synthetic ones, repeats and those held out included.
        synthetic: how many of them are synthetic.
        epochs: that the shortcut's leaf was given; 0 for "before".
        decision: the tree's, "own" or "composed".
        weight: of the shortcut's leaf in the composed decision.
        leaf_precision: P@1 of the shortcut's leaf alone; None if it has no model.
        groups: P@1 by label and group, of validation photos asked about the training photos.
        shares: each validation photo's P@1, float64 [n].
        among_validation: mean P@1 of validation photos asked about each other, as the paper has it.
    """

    name: str
    images: int
    synthetic: int
    epochs: int
    decision: str
    weight: float
    leaf_precision: float | None
    groups: GroupPrecision
    shares: NDArray[np.float64]
    among_validation: float | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a remedy changed.

    Attributes:
        precision: its mean P@1 less that of before, photo by photo.
        gap: the gap before less its own, so that above 0 is better.
        closed: share of the gap before that is closed; None if there was none.
    """

    precision: Difference
    gap: Difference
    closed: float | None


@dataclass(frozen=True, kw_only=True)
class Deflation:
    """Every remedy beside the tree as it was.

    Attributes:
        segment: the shortcut.
        group: what photos are grouped by.
        source: name of the data set.
        before: the tree as it was.
        after: by each remedy.
        changes: remedy to what it changed.
        against: rival to how much lower the gap is by recombination than by it: above 0 is better.
    """

    segment: str
    group: str
    source: str
    before: Outcome
    after: tuple[Outcome, ...]
    changes: dict[str, Change]
    against: dict[str, Difference]

    @property
    def verdict(self) -> str:
        """In words, whether recombination helped, and how it stands beside its rivals."""
        change = self.changes[RECOMBINE]
        if change.gap.is_tie:
            found = "did not help: the gap to the worst group changed by no more than chance"
        elif change.gap.value < 0:
            found = "did harm: the gap to the worst group grew"
        else:
            closed = "" if change.closed is None else f" {change.closed:.0%} of"
            found = f"closed{closed} the gap to the worst group"
        cost = 100 * change.precision.value
        rivals = [f"{_beside(difference)} {name}" for name, difference in self.against.items()]
        return f"recombining {self.segment} {found}; mean P@1 {cost:+.1f} points; " + ", ".join(rivals)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; photos' shares are left out."""
        outcomes = [
            {name: value for name, value in asdict(outcome).items() if name != "shares"}
            for outcome in (self.before, *self.after)
        ]
        return {
            "segment": self.segment,
            "group": self.group,
            "source": self.source,
            "verdict": self.verdict,
            "outcomes": outcomes,
            "changes": {name: asdict(change) for name, change in self.changes.items()},
            "against": {name: asdict(difference) for name, difference in self.against.items()},
        }


def deflation(
    segment: str,
    group: str,
    source: str,
    before: Outcome,
    after: Sequence[Outcome],
    labels: Sequence[str],
    groups: Sequence[str],
) -> Deflation:
    """Compare remedies, recombination among them.

    Args:
        segment: the shortcut.
        group: what photos are grouped by.
        source: name of the data set.
        before: the tree as it was.
        after: by each remedy.
        labels, groups: n, of the validation photos.
    """
    changes = {}
    for outcome in after:
        gap = gap_difference(before.shares, outcome.shares, labels, groups)
        changes[outcome.name] = Change(
            precision=Difference.of(outcome.shares - before.shares),
            gap=gap,
            closed=gap.value / before.groups.gap if before.groups.gap > 0 else None,
        )
    by_name: Mapping[str, Outcome] = {outcome.name: outcome for outcome in after}
    own = by_name[RECOMBINE]
    return Deflation(
        segment=segment,
        group=group,
        source=source,
        before=before,
        after=tuple(after),
        changes=changes,
        against={
            name: gap_difference(by_name[name].shares, own.shares, labels, groups) for name in RIVALS if name in by_name
        },
    )


def _beside(difference: Difference) -> str:
    if difference.is_tie:
        return "a tie with"
    return "a smaller gap than" if difference.value > 0 else "a larger gap than"
