"""What an audit found, as tables that people read."""

from tasks.bias.bias_record import BiasReport, WithinGroups
from tasks.bias.bias_words import amplified, directions, grouping, ordered, reading, verdict
from tasks.bias.gap import LEAST_PHOTOS
from tasks.bias.group_precision import GroupPrecision
from tasks.bias.shortcut import Balanced, Drop
from tasks.bias.what_if import DECISION, Flips
from tasks.explanation.table import Table, difference_cell, percent, precision_cell, with_interval

_PERCENT = "In percent, with 95 % intervals."


def bias_tables(report: BiasReport) -> list[Table]:
    """Every leaf by falling drop, P@1 by label and group, what exchanging does, the counts, and bias amplification.

    Those that the report has not, as of groups where photos are not grouped, are left out.
    """
    found = [_segments(report), _groups(report), _what_if(report), _counts(report), _amplification(report)]
    return [table for table in found if table is not None]


def _segments(report: BiasReport) -> Table:
    terms = reading(report)
    return Table(
        name="segments",
        title="What each part tells of the label",
        columns=(
            "leaf",
            "look: training → validation",
            "presence: training → validation",
            "shape only",
            "background only",
            "above its controls",
            "least within a group",
            "P@1",
            "verdict",
        ),
        rows=tuple(
            (
                segment.segment,
                _drop(segment.look),
                _drop(segment.presence),
                _balanced(segment.shape),
                _balanced(segment.background),
                difference_cell(segment.above_controls),
                _within(segment.within),
                precision_cell(segment.p_at_1),
                verdict(segment),
            )
            for segment in report.segments
        ),
        notes=(
            f"{_PERCENT} A drop is in points; the largest comes first.",
            *(
                f"{term}: {terms[term]}"
                for term in (
                    "New training photos",
                    "Balanced over labels",
                    "Shortcut",
                    "What cannot be seen",
                    "Not a cause",
                    "Controls",
                )
            ),
        ),
    )


def _groups(report: BiasReport) -> Table | None:
    found = report.groups
    if found is None:
        return None
    return Table(
        name="groups",
        title="P@1 by label and group",
        columns=("label", "group", "photos", "P@1"),
        rows=tuple(
            (cell.label, cell.group, str(cell.photos), with_interval(cell.precision, cell.interval))
            for cell in found.cells
        ),
        notes=(
            _worst(found),
            f"{_PERCENT} Validation photos by the tree's decision, among all of them. {grouping(report)}",
        ),
    )


def _worst(found: GroupPrecision) -> str:
    return (
        f"Worst: {found.worst.label} of the group {found.worst.group}, {percent(found.worst.precision)}. The gap to "
        f"the mean of all photos, {with_interval(found.mean, found.interval)}, is "
        f"{with_interval(found.gap, found.gap_interval)} points. Fewer than {LEAST_PHOTOS} photos cannot be the worst."
    )


def _what_if(report: BiasReport) -> Table:
    return Table(
        name="what-if",
        title="How often another photo's segment changes the nearest neighbour's label",
        columns=(
            "leaf",
            "decision, other label",
            "decision, same label (control)",
            "own node, other label",
            "own node, same label (control)",
            "photos",
        ),
        rows=tuple(
            (
                found.segment,
                *(
                    _flips(of.get(node))
                    for node in (DECISION, found.segment)
                    for of in (found.other_label, found.same_label)
                ),
                str(found.other_label[DECISION].photos),
            )
            for found in ordered(report.what_if, DECISION)
        ),
        notes=(_PERCENT, reading(report)["What if"]),
    )


def _counts(report: BiasReport) -> Table:
    leaves = [segment.segment for segment in report.segments]
    return Table(
        name="counts",
        title="How many photos show each part",
        columns=("split", "label", "group", "photos", *leaves),
        rows=tuple(
            (
                count.split,
                count.label,
                count.group or "-",
                str(count.photos),
                *(percent(count.showing[leaf] / count.photos) for leaf in leaves),
            )
            for count in report.counts
        ),
        notes=("Of each leaf the percentage of the photos that show it.",),
    )


def _amplification(report: BiasReport) -> Table | None:
    if report.amplification is None:
        return None
    return Table(
        name="amplification",
        title="Bias amplification",
        columns=("direction", "amplification", "reading"),
        rows=tuple(
            (direction, with_interval(value, interval), amplified(interval))
            for direction, (value, interval) in directions(report.amplification).items()
        ),
        notes=(
            _PERCENT,
            reading(report)["Bias amplification"],
        ),
    )


def _balanced(figure: Balanced | None) -> str:
    return "-" if figure is None else with_interval(figure.value, figure.interval)


def _drop(drop: Drop | None) -> str:
    if drop is None:
        return "-"
    return f"{percent(drop.train.value)} → {percent(drop.validation.value)}, drop {percent(drop.value)}" + (
        " (alarm)" if drop.alarm else ""
    )


def _within(found: WithinGroups | None) -> str:
    return "-" if found is None else f"{_balanced(found.least)}, {found.group}{' (alarm)' if found.alarm else ''}"


def _flips(flips: Flips | None) -> str:
    return "-" if flips is None else with_interval(flips.share, flips.interval)
