"""The paper's tables from a study's rows, each beside the paper's own figures, and ours on what it leaves open."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.explanation.table import Table, difference_cell, percent, precision_cell, with_interval
from tasks.metric.compare import compare_shares
from tasks.metric.evaluation import KS
from tasks.metric.precision import bootstrap_interval
from tasks.study.paper import PAPER_MEMORY, PaperStudy
from tasks.study.row_result import NodeRow, RowResult
from tasks.study.rows import FRAMING, LEAK, TABLE_1
from tasks.study.step_cost import StepCost

Rows = Mapping[str, Sequence[RowResult]]  # row's name to its results, one a seed
TRADITIONAL = "triplet-traditional"
METHODS = {"heml": "triplet-heml", "traditional": TRADITIONAL, "avsl": "avsl"}


def by_row(results: Sequence[RowResult]) -> dict[str, list[RowResult]]:
    """Results of one row together, in the order of their seeds."""
    rows: dict[str, list[RowResult]] = defaultdict(list)
    for result in sorted(results, key=lambda found: found.seed):
        rows[result.row].append(result)
    return dict(rows)


def study_tables(
    study: PaperStudy,
    results: Sequence[RowResult],
    costs: Mapping[str, Sequence[StepCost]],
    groups: Sequence[str | None],
    notes: Sequence[str],
) -> list[Table]:
    """Every table for which there are rows.

    Args:
        study: the paper's figures.
        results: all rows that are done.
        costs: "published" and "equal" to the three methods' step at that setting.
        groups: of every validation image.
        notes: said under every table: the data, the machine, the settings.
    """
    rows = by_row(results)
    found = [
        _table_1(study, rows),
        _table_2(study, rows, costs),
        _table_3(study, rows),
        _parents(rows),
        _groups(rows, groups),
        _leak(rows),
        _framing(rows),
    ]
    return [
        Table(
            name=table.name,
            title=table.title,
            columns=table.columns,
            rows=table.rows,
            notes=(*table.notes, *notes),
        )
        for table in found
        if table is not None and table.rows
    ]


def shares_over_seeds(results: Sequence[RowResult], decision: str = "own") -> dict[int, float]:
    """P@1 of each image at the whole, the mean over the seeds."""
    gathered: dict[int, list[float]] = defaultdict(list)
    for result in results:
        shares = result.root.shares if decision == "own" else result.root.composed_shares
        for image, share in zip(result.root.images, shares, strict=False):
            gathered[image].append(share)
    return {image: float(np.mean(values)) for image, values in gathered.items()}


def _over_seeds(results: Sequence[RowResult], k: int, decision: str = "own") -> str:
    """P@K of the whole, the mean over the seeds; of several seeds K = 1 alone has an interval, over the images."""
    figures = [result.root.own if decision == "own" else result.root.composed for result in results]
    values = [figure.at[k] for figure in figures if figure is not None]
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    shares = shares_over_seeds(results, decision)
    interval = None
    if len(results) == 1 and figures[0] is not None:
        interval = figures[0].intervals[k]
    elif k == 1 and shares:
        interval = bootstrap_interval(np.array(list(shares.values())))
    spread = f", seeds {percent(min(known))} to {percent(max(known))}" if k == 1 and len(known) > 1 else ""
    return with_interval(float(np.mean(known)), interval) + spread


def _balanced(results: Sequence[RowResult]) -> str:
    """Balanced accuracy of the neighbours' vote by either decision, the mean over the seeds."""
    pairs = [(result.root.balanced, result.root.composed_balanced) for result in results]
    cells = []
    for values in zip(*pairs, strict=True):
        known = [value for value in values if value is not None]
        cells.append(percent(float(np.mean(known)) if known else None))
    return " / ".join(cells)


def _table_1(study: PaperStudy, rows: Rows) -> Table | None:
    done = [row.name for row in TABLE_1 if row.name in rows]
    if not done:
        return None
    shares = {name: shares_over_seeds(rows[name]) for name in done}
    best = max(done, key=lambda name: float(np.mean(list(shares[name].values()) or [0.0])))
    lines = [
        (
            name,
            _over_seeds(rows[name], 1),
            _over_seeds(rows[name], 2),
            _over_seeds(rows[name], 8),
            _over_seeds(rows[name], 1, "composed"),
            _over_seeds(rows[name], 2, "composed"),
            _over_seeds(rows[name], 8, "composed"),
            _balanced(rows[name]),
            "best" if name == best else difference_cell(compare_shares(shares[name], shares[best])),
            difference_cell(compare_shares(shares_over_seeds(rows[name], "composed"), shares.get(TRADITIONAL, {}))),
            str(len(rows[name])),
            paper_cell(study.table_1.get(name)),
        )
        for name in done
    ]
    return Table(
        name="table-1",
        title=f"Table I, {study.title}: the whole picture",
        columns=(
            "model",
            "P@1 own",
            "P@2",
            "P@8",
            "P@1 composed",
            "P@2",
            "P@8",
            "balanced 8-NN, own / composed",
            "P@1 own against the best",
            f"P@1 composed against {TRADITIONAL}",
            "seeds",
            "paper P@1 2 8",
        ),
        rows=tuple(lines),
        notes=(
            "In percent, with 95 % bootstrap intervals over the images; what another seed would change is not in them, "
            "so a small difference outside is no proof where a row has one seed. Own: the root's model, the paper's "
            "tables. Composed: the weighted sum of the leaves' distances.",
            f"The label is {study.label!r} in the paper; its photos and split are others, so its figures are beside "
            "ours and not compared with them.",
        ),
    )


def _table_2(study: PaperStudy, rows: Rows, costs: Mapping[str, Sequence[StepCost]]) -> Table | None:
    lines = []
    for method, row in METHODS.items():
        seconds = np.mean([result.seconds for result in rows[row]]) if row in rows else None
        cells = [_cost(costs.get(setting, ()), method) for setting in ("equal", "published")]
        lines.append(
            (
                method,
                "-" if seconds is None else f"{seconds:.0f} s",
                *cells,
                study.table_2[method],
                PAPER_MEMORY[method],
            )
        )
    if all(line[1:4] == ("-",) * 3 for line in lines):
        return None
    return Table(
        name="table-2",
        title=f"Table II, {study.title}: time and memory",
        columns=(
            "method",
            "training time",
            "a step, equal setting",
            "a step, published setting",
            "paper: time",
            "paper: GPU memory",
        ),
        rows=tuple(lines),
        notes=(
            "Training time: all its trainings' added up, evaluation after each epoch included; nodes that are trained "
            "at once share the cores. A step: seconds, and the most memory that training took above the process "
            "before, in a process of its own; a tree's nodes need it one at a time on each worker.",
        ),
    )


def _cost(costs: Sequence[StepCost], method: str) -> str:
    for cost in costs:
        if cost.method == method:
            setting = f"({cost.trunk}, {cost.size} px, batch {cost.batch}, {cost.device})"
            if cost.failed:
                return f"not measured: {cost.failed} {setting}"
            return f"{cost.seconds:.2f} s, {cost.peak_memory / 1e9:.2f} GB {setting}"
    return "-"


def _table_3(study: PaperStudy, rows: Rows) -> Table | None:
    if "triplet-heml" not in rows:
        return None
    result = rows["triplet-heml"][0]
    lines = [
        (
            name,
            *(precision_cell(node.own, k) for k in KS),
            *(precision_cell(node.composed, k) for k in KS),
            str(node.own.n),
            f"{node.best_child} {difference_cell(node.above_child)}" if node.best_child else "-",
            paper_cell(study.table_3.get(name)),
        )
        for name, node in result.nodes.items()
    ]
    return Table(
        name="table-3",
        title=f"Table III, {study.title}: every node of Triplet-HEML",
        columns=(
            "node",
            "P@1 own",
            "P@2",
            "P@8",
            "P@1 composed",
            "P@2",
            "P@8",
            "images",
            "against the best child",
            "paper P@1 2 8",
        ),
        rows=tuple(lines),
        notes=(f"Seed {result.seed}. A node and its child are compared among the images that both have.",),
    )


def _parents(rows: Rows) -> Table | None:
    lines = []
    for name, results in rows.items():
        for result in results:
            known = [node for node in result.nodes.values() if node.above_child is not None]
            if known:
                lines.append((name, str(result.seed), str(len(known)), *_lost(known)))
    return Table(
        name="parents",
        title="Combined nodes that fall below their best child",
        columns=("row", "seed", "combined nodes", "below, plainly", "below, outside the interval"),
        rows=tuple(lines),
        notes=("The paper's Table III: 6 of 15, plainly. Intervals: paired bootstrap over the images that both have.",),
    )


def _lost(nodes: Sequence[NodeRow]) -> tuple[str, str]:
    differences = [node.above_child for node in nodes if node.above_child is not None]
    plainly = sum(difference.value < 0 for difference in differences)
    return str(plainly), str(sum(difference.interval[1] < 0 for difference in differences))


def _groups(rows: Rows, groups: Sequence[str | None]) -> Table | None:
    names = sorted({group for group in groups if group is not None})
    if not names:
        return None
    lines = []
    for name in (row.name for row in TABLE_1 if row.name in rows):
        for decision in ("own", "composed"):
            shares = shares_over_seeds(rows[name], decision)
            if not shares:
                continue
            cells = []
            for group in names:
                of_group = np.array([share for image, share in shares.items() if groups[image] == group])
                interval = bootstrap_interval(of_group) if len(of_group) else None
                cells.append(with_interval(float(of_group.mean()), interval) if len(of_group) else "-")
            lines.append((name, decision, *cells))
    counts = ", ".join(f"{group} {sum(found == group for found in groups)}" for group in names)
    return Table(
        name="groups",
        title="Table I by group: P@1 of each group's images, neighbours from all",
        columns=("model", "decision", *names),
        rows=tuple(lines),
        notes=(f"Validation images: {counts}.",),
    )


def _leak(rows: Rows) -> Table | None:
    done = [row.name for row in LEAK if row.name in rows]
    if not done:
        return None
    first = {name: rows[name][0].nodes for name in done}
    leaves = [name for name, node in first[done[0]].items() if not node.children]
    lines = []
    for leaf in leaves:
        cells = [leaf]
        for name in done:
            node = first[name][leaf]
            above = node.controls.above if node.controls else None
            cells += [precision_cell(node.own), difference_cell(above)]
        controls = first[done[-1]][leaf].controls
        cells += [precision_cell(controls.shape if controls else None)]
        cells += [precision_cell(controls.background if controls else None)]
        lines.append(tuple(cells))
    heads = [head for name in done for head in (f"{name}: P@1", f"{name}: above controls")]
    return Table(
        name="leak",
        title="What a leaf's figure is about: three fills beside two controls",
        columns=("leaf", *heads, "shape only", "background only"),
        rows=tuple(lines),
        notes=(
            f"Seed {rows[done[0]][0].seed}. Shape only: the part's mask, white on black. Background only: all but the "
            "background black. Above controls: the leaf's P@1 minus the better control's of those whose pixels its "
            "picture holds (the background's only where the fill keeps it), among the leaf's images.",
        ),
    )


def _framing(rows: Rows) -> Table | None:
    full, auto = (rows.get(row.name) for row in FRAMING)
    if not full or not auto:
        return None
    lines = []
    for name, node in auto[0].nodes.items():
        whole = full[0].nodes[name]
        if node.children or node.framing == "full":
            continue
        shares = [dict(zip(found.images, found.shares, strict=True)) for found in (node, whole)]
        lines.append(
            (
                name,
                f"{node.size} px",
                precision_cell(node.own),
                precision_cell(whole.own),
                difference_cell(compare_shares(*shares)),
                _ratio(node, whole),
            )
        )
    kept = [name for name, node in auto[0].nodes.items() if not node.children and node.framing == "full"]
    return Table(
        name="framing",
        title="Framing by the part: crops of small leaves beside the whole frame",
        columns=("leaf", "crop", "P@1 crop", "P@1 whole frame", "difference", "time a picture, crop / whole"),
        rows=tuple(lines),
        notes=(
            f"Left in the whole frame, and so the same in both: {', '.join(kept) or 'none'}. Seed "
            f"{auto[0].seed}. A part of few pixels may vanish in the whole frame: a leaf's images can differ a little.",
        ),
    )


def _ratio(node: NodeRow, other: NodeRow) -> str:
    """Seconds a training picture of one in those of another."""
    if not (node.pictures and other.pictures and other.seconds):
        return "-"
    return f"{node.seconds / node.pictures / (other.seconds / other.pictures):.2f}"


def paper_cell(figures: Sequence[float] | None) -> str:
    """The paper's P@1, P@2 and P@8, in percent."""
    return "-" if figures is None else " ".join(f"{figure:.1f}" for figure in figures)
