"""What the figures of leaves are about: fills beside controls, crops beside whole frames."""

from collections.abc import Mapping
from itertools import chain

from tasks.explanation.table import Table, difference_cell, precision_cell
from tasks.metric.compare import compare_shares
from tasks.metric.controls import Controlled
from tasks.study.row_result import NodeRow, RowResult

NO_CONTROLS = Controlled(shape=None, background=None, above=None)


def leak_table(fills: Mapping[str, RowResult]) -> Table:
    """Each leaf with one fill after another, above the controls; the controls themselves are the last fill's."""
    first = next(iter(fills.values()))
    lines = []
    for leaf in (name for name, node in first.nodes.items() if not node.children):
        beside = [
            (node.own, node.controls or NO_CONTROLS) for node in (result.nodes[leaf] for result in fills.values())
        ]
        cells = ((precision_cell(own), difference_cell(controls.above)) for own, controls in beside)
        last = beside[-1][1]
        lines.append((leaf, *chain.from_iterable(cells), precision_cell(last.shape), precision_cell(last.background)))
    heads = [head for name in fills for head in (f"{name}: P@1", f"{name}: above controls")]
    return Table(
        name="leak",
        title="What a leaf's figure is about: three fills beside two controls",
        columns=("leaf", *heads, "shape only", "background only"),
        rows=tuple(lines),
        notes=(
            f"Seed {first.seed}. Shape only: the part's mask, white on black. Background only: all but the "
            "background black. Above controls: the leaf's P@1 minus the better control's of those whose pixels its "
            "picture holds (the background's only where the fill keeps it), among the leaf's images.",
        ),
    )


def framing_table(full: RowResult, auto: RowResult) -> Table:
    """Each leaf that `auto` crops, beside the same leaf in the whole frame."""
    leaves = {name: (node, full.nodes[name]) for name, node in auto.nodes.items() if not node.children}
    lines = [
        (
            name,
            f"{crop.size} px",
            precision_cell(crop.own),
            precision_cell(whole.own),
            difference_cell(compare_shares(_shares(crop), _shares(whole))),
            _ratio(crop, whole),
        )
        for name, (crop, whole) in leaves.items()
        if crop.framing != "full"
    ]
    kept = [name for name, (crop, _) in leaves.items() if crop.framing == "full"]
    return Table(
        name="framing",
        title="Framing by the part: crops of small leaves beside the whole frame",
        columns=("leaf", "crop", "P@1 crop", "P@1 whole frame", "difference", "time a picture, crop / whole"),
        rows=tuple(lines),
        notes=(
            f"Left in the whole frame, and so the same in both: {', '.join(kept) or 'none'}. Seed "
            f"{auto.seed}. A part of few pixels may vanish in the whole frame: a leaf's images can differ a little.",
        ),
    )


def _shares(node: NodeRow) -> dict[int, float]:
    """P@1 of each image."""
    return dict(zip(node.images, node.shares, strict=True))


def _ratio(node: NodeRow, other: NodeRow) -> str:
    """Seconds a training picture of one in those of another."""
    if not (node.pictures and other.pictures and other.seconds):
        return "-"
    return f"{node.seconds / node.pictures / (other.seconds / other.pictures):.2f}"
