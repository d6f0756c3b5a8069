"""Figures of a row's whole, the mean over its seeds, by either of its root's decisions."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tasks.explanation.table import percent, with_interval
from tasks.metric.decision import Decision
from tasks.metric.evaluation import Precision
from tasks.metric.precision import bootstrap_interval
from tasks.study.row_result import RowResult

DECISIONS: tuple[Decision, ...] = ("own", "composed")


def shares_over_seeds(results: Sequence[RowResult], decision: Decision) -> dict[int, float]:
    """P@1 of each image."""
    gathered: dict[int, list[float]] = defaultdict(list)
    for result in results:
        for image, share in zip(result.root.images, _figures(result, decision)[1], strict=False):
            gathered[image].append(share)
    return {image: float(np.mean(values)) for image, values in gathered.items()}


def precision_over_seeds(results: Sequence[RowResult], k: int, decision: Decision) -> str:
    """P@K in percent; of several seeds K = 1 alone has an interval, over the images, and the seeds' range."""
    figures = [figure for result in results if (figure := _figures(result, decision)[0]) is not None]
    known = [value for figure in figures if (value := figure.at[k]) is not None]
    if not known:
        return "-"
    if len(results) == 1:
        return with_interval(known[0], figures[0].intervals[k])
    mean = float(np.mean(known))
    if k > 1:
        return percent(mean)
    shares = shares_over_seeds(results, decision)
    interval = bootstrap_interval(np.array(list(shares.values()))) if shares else None
    spread = f", seeds {percent(min(known))} to {percent(max(known))}" if len(known) > 1 else ""
    return with_interval(mean, interval) + spread


def balanced_over_seeds(results: Sequence[RowResult], decision: Decision) -> str:
    """Balanced accuracy of the neighbours' vote, in percent."""
    known = [value for result in results if (value := _figures(result, decision)[2]) is not None]
    return percent(float(np.mean(known)) if known else None)


def _figures(result: RowResult, decision: Decision) -> tuple[Precision | None, tuple[float, ...], float | None]:
    """P@K, P@1 of each image, and balanced accuracy."""
    root = result.root
    if decision == "own":
        return root.own, root.shares, root.balanced
    return root.composed, root.composed_shares, root.composed_balanced
