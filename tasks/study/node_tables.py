"""What the nodes of a tree say, one by one: the paper's Table III, and parents beside their children."""

from collections.abc import Mapping, Sequence

from tasks.explanation.table import Table, difference_cell, precision_cell
from tasks.metric.evaluation import KS
from tasks.study.paper import PaperStudy, paper_cell
from tasks.study.row_result import RowResult
from tasks.study.whole_tables import PRECISION_HEADS


def node_table(study: PaperStudy, result: RowResult) -> Table:
    """Table III: P@K of every node of a tree, beside its best child's and the paper's."""
    lines = [
        (
            name,
            *(precision_cell(precision, k) for precision in (node.own, node.composed) for k in KS),
            str(node.own.n),
            f"{node.best_child} {difference_cell(node.above_child)}" if node.best_child else "-",
            paper_cell(study.table_3.get(name)),
        )
        for name, node in result.nodes.items()
    ]
    return Table(
        name="table-3",
        title=f"Table III, {study.title}: every node of Triplet-HEML",
        columns=("node", *PRECISION_HEADS, "images", "against the best child", "paper P@1 2 8"),
        rows=tuple(lines),
        notes=(f"Seed {result.seed}. A node and its child are compared among the images that both have.",),
    )


def parents_table(rows: Mapping[str, Sequence[RowResult]]) -> Table:
    """How many combined nodes of each tree fall below their best child."""
    lines = []
    for name, results in rows.items():
        for result in results:
            above = [node.above_child for node in result.nodes.values() if node.above_child is not None]
            if above:
                plainly = sum(difference.value < 0 for difference in above)
                outside = sum(difference.interval[1] < 0 for difference in above)
                lines.append((name, *map(str, (result.seed, len(above), plainly, outside))))
    return Table(
        name="parents",
        title="Combined nodes that fall below their best child",
        columns=("row", "seed", "combined nodes", "below, plainly", "below, outside the interval"),
        rows=tuple(lines),
        notes=("The paper's Table III: 6 of 15, plainly. Intervals: paired bootstrap over the images that both have.",),
    )
