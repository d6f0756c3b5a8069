from dataclasses import replace

import pytest

from tasks.bench.bench_row import BenchRow, counted
from tasks.bench.bench_table import bench_table, line
from tasks.paired_rounds import Ratio

ROW = BenchRow(
    part="a loop",
    against="bare steps",
    measure="images a second",
    ratio=Ratio(median=0.95, low=0.9, high=1.25),
    rounds=9,
    direction="at least",
    goal=0.9,
    ours="95 images/s",
    theirs="100 images/s",
    setting="small, 64 px",
)


@pytest.mark.parametrize(
    ("direction", "goal", "reached"),
    [("at least", 0.95, True), ("at least", 0.951, False), ("at most", 0.95, True), ("at most", 0.949, False)],
)
def test_a_goal_is_reached_by_the_median(direction: str, goal: float, reached: bool) -> None:
    row = replace(ROW, direction=direction, goal=goal)  # type: ignore[arg-type]
    assert row.reached is reached
    assert row.to_dict()["reached"] is reached


def test_a_row_is_told_with_its_interval_and_its_goal() -> None:
    assert line(ROW) == "a loop, images a second: 0.95 (0.9 to 1.25) of bare steps (>= 0.9; reached)"
    once = replace(ROW, ratio=counted(2.0), direction="at most")
    assert line(once) == "a loop, images a second: 2 of bare steps (<= 0.9; not reached)"


def test_the_table_names_the_machine_and_has_a_line_a_row() -> None:
    text = bench_table([ROW, replace(ROW, goal=2.0)], "a machine")
    assert text.startswith("On a machine.")
    rows = [part for part in text.splitlines() if part.startswith("| a loop")]
    assert [row.split(" | ")[5] for row in rows] == ["reached", "not reached"]
    assert {row.count("|") for row in text.splitlines() if row.startswith("|")} == {10}
