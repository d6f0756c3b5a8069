"""What an audit found, as tables that people read, and the words that its tables and its page share."""

from collections.abc import Iterable

from tasks.bias.amplification import Amplification
from tasks.bias.bias_record import BiasReport, SegmentAudit, WithinGroups
from tasks.bias.gap import LEAST_PHOTOS
from tasks.bias.group_precision import GroupPrecision
from tasks.bias.groups import COLUMN
from tasks.bias.shortcut import FALSE_ALARM, LEAST_DROP, Balanced, Drop
from tasks.bias.what_if import DECISION, Flips, WhatIf
from tasks.explanation.table import Table, difference_cell, percent, precision_cell, with_interval

_OF_GROUPS = {
    "Bias amplification": "Directional (Wang and Russakovsky 2021): how much more often than in the data the nearest "
    "neighbour has the label that goes together with the photo's group in training, or the group that goes together "
    "with its label. 0 is as in the data.",
}
_PERCENT = "In percent, with 95 % intervals."


def bias_tables(report: BiasReport) -> list[Table]:
    """Every leaf by falling drop, P@1 by label and group, what exchanging does, the counts, and bias amplification.

    The tables of groups are left out where photos are not grouped.
    """
    found = [_segments(report), _groups(report), _what_if(report), _counts(report), _amplification(report)]
    return [table for table in found if table is not None]


def verdict(segment: SegmentAudit) -> str:
    """What was found of a leaf, in a word or two."""
    if segment.look is None and segment.presence is None:
        return "not judged"
    found = ["shortcut"] if segment.reasons else ["no alarm"]
    return ", ".join([*found, *(["its presence gives the label away"] if segment.label_function else [])])


def grouping(report: BiasReport) -> str:
    """What photos are grouped by, as a sentence; empty where they are not."""
    if report.group is None:
        return ""
    return f"Grouped by {'their group in the data' if report.group == COLUMN else f'whether {report.group} is there'}."


def amplified(interval: tuple[float, float]) -> str:
    """What an interval of bias amplification says, in words."""
    if interval[0] > 0:
        return "more than in the data: amplified"
    return "less than in the data" if interval[1] < 0 else "no difference shown"


def directions(found: Amplification) -> dict[str, tuple[float, tuple[float, float]]]:
    """Direction of bias amplification to its value and interval."""
    return {
        "from group to label": (found.group_to_label, found.group_to_label_interval),
        "from label to group": (found.label_to_group, found.label_to_group_interval),
    }


def ordered(what_if: Iterable[WhatIf], node: str) -> list[WhatIf]:
    """Those that were asked at a node, by falling share of flips there with donors of another label."""
    return sorted((found for found in what_if if node in found.other_label), key=lambda w: -w.other_label[node].share)


def reading(report: BiasReport) -> dict[str, str]:
    """What a reader has to know: term to explanation."""
    within = (
        f" Or it tells the label over all and no better than chance within one group; of this too the risk is "
        f"{100 * FALSE_ALARM:.0f} % over all parts."
    )
    return {
        "New training photos": "Cross-fitted: half of the training photos ask a model that learned from the other "
        "half, and the other way round; validation photos ask both. All are new to the models that they ask, so where "
        "their figures differ, the data differ.",
        "Balanced over labels": "The figures of the training photos, and those that they drop to, are means over the "
        f"labels of each label's P@1: 1/{len(report.labels)} by chance, whatever the labels' shares. A node's own P@1 "
        "is a mean over its validation photos.",
        "Shortcut": "What a part's look or its presence tells of the label drops from new training photos to "
        f"validation photos, by {100 * LEAST_DROP:.0f} points or more and by more than chance explains. Where there is "
        f"nothing to find, the risk of any alarm is {100 * FALSE_ALARM:.0f} % over all parts together (Holm)."
        + (within if report.group is not None else ""),
        "What cannot be seen": "A drop shows only where the validation photos differ from the training photos. A "
        "shortcut that both share drops nowhere, so an audit without an alarm does not prove that there is none.",
        "Not a cause": "The audit shows what goes together with the label, not what causes it.",
        "Controls": "A leaf's P@1 includes what its shape tells. Shape only: a model of its mask. Background only: a "
        "model of the background, asked of the photos that show the leaf. Above its controls: the leaf's P@1 less that "
        "of the better one, photo by photo.",
        "What if": "The segment of one validation photo is put into another: how often does the label of the nearest "
        "neighbour change? A pasted edge is a cue of its own, so the same is done with donors of the photo's own label "
        "as a control: what counts is how far the first exceeds the second.",
        **(_OF_GROUPS if report.amplification is not None else {}),
    }


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
