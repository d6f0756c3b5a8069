"""The paper's tables from a study's rows, each beside the paper's own figures, and ours on what it leaves open."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tasks.explanation.table import Table
from tasks.study.cost_table import cost_table
from tasks.study.leaf_tables import framing_table, leak_table
from tasks.study.node_tables import node_table, parents_table
from tasks.study.paper import PaperStudy
from tasks.study.row_result import RowResult
from tasks.study.rows import FRAMING, LEAK, TABLE_1
from tasks.study.step_cost import StepCost
from tasks.study.whole_tables import group_table, whole_table


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
    rows: dict[str, list[RowResult]] = defaultdict(list)
    for result in sorted(results, key=lambda found: found.seed):
        rows[result.row].append(result)
    first = {name: found[0] for name, found in rows.items()}
    whole = {row.name: rows[row.name] for row in TABLE_1 if row.name in rows}
    fills = {row.name: first[row.name] for row in LEAK if row.name in first}
    framings = [first[row.name] for row in FRAMING if row.name in first]

    tables = [whole_table(study, whole), cost_table(study, rows, costs)]
    if "triplet-heml" in first:
        tables.append(node_table(study, first["triplet-heml"]))
    tables += [parents_table(rows), group_table(whole, groups)]
    if fills:
        tables.append(leak_table(fills))
    if len(framings) == len(FRAMING):
        tables.append(framing_table(*framings))
    return [replace(table, notes=(*table.notes, *notes)) for table in tables if table.rows]
