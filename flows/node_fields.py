"""What the commands write of each node in JSON, and show of its figures."""

from typing import Any

from tasks.metric.evaluation import Precision
from tasks.segments.tree import TreeNode


def node_fields(node: TreeNode, own: Precision, composed: Precision | None) -> dict[str, Any]:
    """A node's place in the tree and its figures by both decisions; `composed` is null where there is no such."""
    return {
        "segments": list(node.leaves),
        "children": list(node.children),
        **_figures(own),
        "composed": composed and _figures(composed),
        "n": own.n,
    }


def precision_line(precision: Precision) -> str:
    """P@K with the first one's interval, for the terminal."""
    figures = "  ".join(f"P@{k} {'-' if value is None else f'{value:.3f}'}" for k, value in precision.at.items())
    interval = precision.intervals[1]
    bounds = f"  ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{figures}{bounds}  n {precision.n}"


def _figures(precision: Precision) -> dict[str, Any]:
    intervals = {f"precision_at_{k}": interval for k, interval in precision.intervals.items()}
    return {**precision.figures(), "intervals": intervals}
