"""The benchmark's rows as lines and as a Markdown table."""

from collections.abc import Sequence

from tasks.bench.bench_row import BenchRow

SIGNS = {"at least": ">=", "at most": "<="}


def line(row: BenchRow) -> str:
    """A row as one line of text."""
    return f"{row.part}, {row.measure}: {ratio_text(row)} of {row.against} ({goal_text(row)}; {verdict(row)})"


def ratio_text(row: BenchRow) -> str:
    """The ratio, with its interval where it has one."""
    ratio = row.ratio
    if ratio.low == ratio.high:
        return f"{ratio.median:.3g}"
    return f"{ratio.median:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def goal_text(row: BenchRow) -> str:
    """How far the ratio was to go."""
    return f"{SIGNS[row.direction]} {row.goal:.3g}"


def verdict(row: BenchRow) -> str:
    """Whether it got there."""
    return "reached" if row.reached else "not reached"


def bench_table(rows: Sequence[BenchRow], machine: str) -> str:
    """All rows as Markdown.

    Args:
        rows: of one run.
        machine: its name.
    """
    lines = [
        f"On {machine}. Ratios are ours to the other's. With an interval: medians over rounds in turns; "
        "the interval holds the median in 95 % of cases, or is the least and greatest of fewer than six rounds.",
        "",
        "| part | against | measure | ratio | goal | | ours | theirs | setting |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row.part, row.against, row.measure, ratio_text(row), goal_text(row), verdict(row), row.ours, row.theirs,
            row.setting,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
