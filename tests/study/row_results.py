"""Records of rows, made up."""

from dataclasses import replace

from tasks.metric.evaluation import Precision
from tasks.study.row_result import NodeRow, RowResult

GOOD, POOR = (1.0,) * 40, (1.0, 0.0) * 20


def precision(value: float, n: int = 4) -> Precision:
    return Precision(
        at={1: value, 2: value - 0.1, 8: None}, intervals={1: (value - 0.05, value + 0.05), 2: None, 8: None}, n=n
    )


def node(shares: tuple[float, ...], **changed: object) -> NodeRow:
    own = sum(shares) / len(shares)
    made = NodeRow(
        children=(),
        status="trained",
        framing="full",
        size=64,
        own=precision(own, len(shares)),
        composed=None,
        weight=None,
        seconds=10.0,
        pictures=100,
        images=tuple(range(len(shares))),
        shares=shares,
        composed_shares=(),
        balanced=0.5,
        composed_balanced=None,
        best_child=None,
        above_child=None,
        controls=None,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def result(row: str, root: NodeRow, seed: int = 0, **nodes: NodeRow) -> RowResult:
    return RowResult(row=row, seed=seed, key="k", whole="final", decision="own", nodes={**nodes, "final": root})
