"""A table that people read: plain text cells, as Markdown and as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.explanation.markdown import markdown_text
from tasks.metric.compare import Difference
from tasks.metric.evaluation import Precision


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        name: short, for files and artifacts.
        title: what it shows.
        columns: their heads.
        rows: cells, as many as columns.
        notes: what a reader has to know.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [f"## {markdown_text(self.title)}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *(f"* {markdown_text(note)}" for note in self.notes)]).rstrip() + "\n"

    def columns_of_values(self) -> dict[str, Any]:
        """Column to its cells; of columns with one name each but the first gets its number."""
        names = [f"{name} ({i})" if name in self.columns[:i] else name for i, name in enumerate(self.columns)]
        return {name: [row[i] for row in self.rows] for i, name in enumerate(names)}


def percent(value: float | None) -> str:
    """A share in percent with one decimal; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """A share and its 95 % interval, in percent."""
    return (
        percent(value) if interval is None else f"{percent(value)} ({percent(interval[0])} to {percent(interval[1])})"
    )


def precision_cell(precision: Precision | None, k: int = 1) -> str:
    """P@K with its interval, in percent."""
    return "-" if precision is None else with_interval(precision.at[k], precision.intervals[k])


def difference_cell(difference: Difference | None) -> str:
    """A difference with its interval, in points; called a tie where the interval holds 0."""
    if difference is None:
        return "-"
    low, high = (f"{100 * bound:+.1f}" for bound in difference.interval)
    return f"{100 * difference.value:+.1f} ({low} to {high}){', tie' if difference.is_tie else ''}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"
