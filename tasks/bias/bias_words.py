"""The words in which an audit's tables and its page say what was found."""

from collections.abc import Iterable

from tasks.bias.amplification import Amplification
from tasks.bias.bias_record import BiasReport, SegmentAudit
from tasks.bias.groups import COLUMN
from tasks.bias.shortcut import FALSE_ALARM, LEAST_DROP
from tasks.bias.what_if import WhatIf

_OF_GROUPS = {
    "Bias amplification": "Directional (Wang and Russakovsky 2021): how much more often than in the data the nearest "
    "neighbour has the label that goes together with the photo's group in training, or the group that goes together "
    "with its label. 0 is as in the data.",
}


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
        "their figures differ, the data differ. Of presence, half of the training photos make the rule that the other "
        "half and validation are asked by.",
        "Balanced over labels": "The figures of the training photos, and those that they drop to, are means over the "
        f"labels of each label's P@1: 1/{len(report.labels)} by chance, whatever the labels' shares. A node's own P@1 "
        "is a mean over its validation photos.",
        "Decision": "P@1 of the tree's decision, overall and by label and group: each validation photo is asked about "
        "the training photos. Asked about each other, as a node's own P@1 has it, validation photos that lack a "
        "training bias are misled by it all alike.",
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
        "training photo change? A pasted edge is a cue of its own, so the same is done with donors of the photo's own "
        "label as a control: what counts is how far the first exceeds the second.",
        **(_OF_GROUPS if report.amplification is not None else {}),
    }
