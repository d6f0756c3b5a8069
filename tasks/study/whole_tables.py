"""What each row's whole says of the full image: the paper's Table I, and the same by group."""

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.explanation.table import Table, difference_cell, with_interval
from tasks.metric.compare import compare_shares
from tasks.metric.evaluation import KS
from tasks.metric.precision import bootstrap_interval
from tasks.study.over_seeds import DECISIONS, balanced_over_seeds, precision_over_seeds, shares_over_seeds
from tasks.study.paper import PaperStudy, paper_cell
from tasks.study.row_result import RowResult

TRADITIONAL = "triplet-traditional"
PRECISION_HEADS = ("P@1 own", "P@2", "P@8", "P@1 composed", "P@2", "P@8")  # of each K by either decision


def whole_table(study: PaperStudy, rows: Mapping[str, Sequence[RowResult]]) -> Table:
    """Table I: P@K of each row's whole, beside the best row's and the paper's."""
    own, composed = (
        {name: shares_over_seeds(results, decision) for name, results in rows.items()} for decision in DECISIONS
    )
    best = max(rows, key=lambda name: float(np.mean(list(own[name].values()) or [0.0])), default=TRADITIONAL)
    lines = [
        (
            name,
            *(precision_over_seeds(results, k, decision) for decision in DECISIONS for k in KS),
            " / ".join(balanced_over_seeds(results, decision) for decision in DECISIONS),
            "best" if name == best else difference_cell(compare_shares(own[name], own[best])),
            difference_cell(compare_shares(composed[name], own.get(TRADITIONAL, {}))),
            str(len(results)),
            paper_cell(study.table_1.get(name)),
        )
        for name, results in rows.items()
    ]
    return Table(
        name="table-1",
        title=f"Table I, {study.title}: the whole picture",
        columns=(
            "model",
            *PRECISION_HEADS,
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


def group_table(rows: Mapping[str, Sequence[RowResult]], groups: Sequence[str | None]) -> Table:
    """Table I by group of the validation images; no rows where none has a group."""
    names = sorted({group for group in groups if group is not None})
    lines = []
    for name, results in rows.items():
        for decision in DECISIONS:
            shares = shares_over_seeds(results, decision)
            if names and shares:
                of_group = ([share for image, share in shares.items() if groups[image] == group] for group in names)
                lines.append((name, decision, *map(_mean_cell, of_group)))
    counts = ", ".join(f"{group} {groups.count(group)}" for group in names)
    return Table(
        name="groups",
        title="Table I by group: P@1 of each group's images, neighbours from all",
        columns=("model", "decision", *names),
        rows=tuple(lines),
        notes=(f"Validation images: {counts}.",),
    )


def _mean_cell(shares: Sequence[float]) -> str:
    if not shares:
        return "-"
    return with_interval(float(np.mean(shares)), bootstrap_interval(np.array(shares)))
