import pytest

from tasks.explanation.table import Table, difference_cell, percent, precision_cell, with_interval
from tasks.metric.compare import Difference
from tasks.metric.evaluation import Precision


def test_a_table_in_markdown() -> None:
    table = Table(
        name="t", title="A table", columns=("node", "P@1"), rows=(("a|b", "1.0"), ("c\nd", "-")), notes=("<b>n</b>",)
    )
    assert table.markdown().splitlines() == [
        "## A table",
        "",
        "| node | P@1 |",
        "| --- | --- |",
        "| a&#124;b | 1.0 |",
        "| c d | - |",
        "",
        "* &lt;b&gt;n&lt;/b&gt;",
    ]
    twice = Table(name="t", title="T", columns=("P@2", "x", "P@2"), rows=(("1", "2", "3"),))
    assert twice.columns_of_values() == {"P@2": ["1"], "x": ["2"], "P@2 (2)": ["3"]}
    assert table.columns_of_values() == {"node": ["a|b", "c\nd"], "P@1": ["1.0", "-"]}


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (Difference(value=0.012, interval=(-0.01, 0.03), n=9), "+1.2 (-1.0 to +3.0), tie"),
        (Difference(value=-0.05, interval=(-0.08, -0.02), n=9), "-5.0 (-8.0 to -2.0)"),
        (None, "-"),
    ],
)
def test_a_difference_is_in_points_and_may_be_a_tie(difference: Difference | None, text: str) -> None:
    assert difference_cell(difference) == text


def test_figures_are_in_percent() -> None:
    assert (percent(0.9625), percent(None)) == ("96.2", "-")
    assert with_interval(0.9, (0.85, 0.95)) == "90.0 (85.0 to 95.0)"
    assert with_interval(None, None) == "-"
    precision = Precision(at={1: 0.5, 2: None, 8: None}, intervals={1: (0.4, 0.6), 2: None, 8: None}, n=2)
    assert (precision_cell(precision), precision_cell(precision, 2), precision_cell(None)) == (
        "50.0 (40.0 to 60.0)",
        "-",
        "-",
    )
