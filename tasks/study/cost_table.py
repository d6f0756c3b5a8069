"""What each method costs: the paper's Table II."""

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.explanation.table import Table
from tasks.study.paper import PAPER_MEMORY, PaperStudy
from tasks.study.row_result import RowResult
from tasks.study.step_cost import StepCost

METHODS = {"heml": "triplet-heml", "traditional": "triplet-traditional", "avsl": "avsl"}


def cost_table(
    study: PaperStudy, rows: Mapping[str, Sequence[RowResult]], costs: Mapping[str, Sequence[StepCost]]
) -> Table:
    """Table II: each method's training time and a step's, beside the paper's; no rows where nothing was measured."""
    lines = []
    for method, row in METHODS.items():
        time = f"{np.mean([result.seconds for result in rows[row]]):.0f} s" if row in rows else "-"
        steps = (_step_cell(costs.get(setting, ()), method) for setting in ("equal", "published"))
        lines.append((method, time, *steps, study.table_2[method], PAPER_MEMORY[method]))
    measured = any(set(line[1:4]) != {"-"} for line in lines)
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
        rows=tuple(lines) if measured else (),
        notes=(
            "Training time: all its trainings' added up, evaluation after each epoch included; nodes that are trained "
            "at once share the cores. A step: seconds, and the most memory that training took above the process "
            "before, in a process of its own; a tree's nodes need it one at a time on each worker.",
        ),
    )


def _step_cell(costs: Sequence[StepCost], method: str) -> str:
    for cost in costs:
        if cost.method == method:
            setting = f"({cost.trunk}, {cost.size} px, batch {cost.batch}, {cost.device})"
            if cost.failed:
                return f"not measured: {cost.failed} {setting}"
            return f"{cost.seconds:.2f} s, {cost.peak_memory / 1e9:.2f} GB {setting}"
    return "-"
