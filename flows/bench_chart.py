"""The benchmark's rows as a chart: how many times better than asked for each one is."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_table import goal_text, ratio_text

REACHED, MISSED = "#1b6e53", "#b3541e"
LABEL_WIDTH = 48  # letters
LEAST, MOST = 1 / 8, 8.0


def write_chart(rows: Sequence[BenchRow], machine: str, path: Path) -> None:
    """A dot and an interval a row; to the right of the line is better than the goal.

    Args:
        rows: of one run.
        machine: its name.
        path: of the PNG.
    """
    figure = Figure(figsize=(11, 1.6 + 0.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        low, middle, high = (_beyond(row, value) for value in (row.ratio.low, row.ratio.median, row.ratio.high))
        colour = REACHED if row.reached else MISSED
        axes.plot([low, high], [place, place], color=colour, linewidth=2.5, solid_capstyle="round", clip_on=False)
        axes.plot([middle], [place], marker="o" if row.reached else "D", color=colour, markersize=7, clip_on=False)
        axes.annotate(
            f"{ratio_text(row)}  (goal {goal_text(row)})", (1.03, place), xycoords=("axes fraction", "data"),
            va="center", fontsize=9, color=colour, annotation_clip=False,
        )  # fmt: skip
    axes.axvline(1, color="#333333", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(LEAST, MOST)
    axes.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["1/8 or less", "1/4", "1/2", "goal", "2x", "4x", "8x or more"])
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_title(f"How far beyond its goal each ratio is, on {machine}", fontsize=11, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120)


def _label(row: BenchRow) -> str:
    return "\n".join(fill(text, LABEL_WIDTH) for text in (f"{row.part}: {row.measure}", f"against {row.against}"))


def _beyond(row: BenchRow, value: float) -> float:
    """The ratio in goals, above 1 where it is better, as far as the chart goes."""
    if row.goal == 0:
        return MOST if value <= 0 else LEAST
    better = value / row.goal if row.direction == "at least" else row.goal / value if value else MOST
    return min(MOST, max(LEAST, better))
