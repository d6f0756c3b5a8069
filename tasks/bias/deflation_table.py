"""Before and after as a table that people read."""

from tasks.bias.deflation import Change, Deflation, Outcome
from tasks.explanation.table import Table, difference_cell, percent, with_interval


def deflation_table(found: Deflation) -> Table:
    """Every remedy beside the tree as it was."""
    return Table(
        name="deflation",
        title=f"Before and after: {found.segment} in {found.source}",
        columns=(
            "training",
            "P@1 among validation photos",
            "mean P@1",
            "worst cell",
            "its P@1",
            "gap",
            "gap closed",
            "gap smaller by",
            "mean P@1 against before",
            "decision",
            f"weight of {found.segment}",
            f"P@1 of {found.segment}",
            "images",
            "synthetic",
            "epochs",
        ),
        rows=tuple(_row(outcome, found.changes.get(outcome.name)) for outcome in (found.before, *found.after)),
        notes=(
            found.verdict + ".",
            "P@1 in percent by each tree's default decision, of validation photos asked about the training photos (no "
            "synthetic ones on either side); the first column asks them about each other, as the paper does, where a "
            f"bias that validation does not have misleads all groups alike. Cells are label x {found.group}. The gap "
            "is mean P@1 less that of the worst cell. 95 % bootstrap intervals; a tie where one holds 0.",
            "Only the nodes that show the segment are trained anew, with as many training steps by every remedy "
            "(epochs: of the leaf); all other nodes stay as they are. *same-label paste* is the control: the same "
            "edges, the association unbroken. *reweight* repeats the photos of rare cells, *subsample* leaves photos "
            "of frequent ones out; both need the group of every training photo, recombining does not.",
        ),
    )


def _row(outcome: Outcome, change: Change | None) -> tuple[str, ...]:
    groups = outcome.groups
    return (
        outcome.name,
        percent(outcome.among_validation),
        with_interval(groups.mean, groups.interval),
        f"{groups.worst.label}, {groups.worst.group}",
        with_interval(groups.worst.precision, groups.worst.interval),
        with_interval(groups.gap, groups.gap_interval),
        "" if change is None else percent(change.closed),
        "" if change is None else difference_cell(change.gap),
        "" if change is None else difference_cell(change.precision),
        outcome.decision,
        f"{outcome.weight:.3f}",
        percent(outcome.leaf_precision),
        str(outcome.images),
        str(outcome.synthetic),
        str(outcome.epochs) if outcome.epochs else "-",
    )
