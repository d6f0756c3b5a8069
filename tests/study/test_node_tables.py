from dataclasses import replace

import pytest

from tasks.metric.compare import Difference
from tasks.study.node_tables import node_table, parents_table
from tasks.study.paper import paper_study
from tests.study.row_results import GOOD, POOR, node, precision, result

BELOW = Difference(value=-0.5, interval=(-0.7, -0.3), n=40)
ROOT = node(POOR, best_child="hair", above_child=BELOW, children=("hair", "hat"), composed=precision(0.9))


def test_table_3_shows_every_node_beside_the_paper_s() -> None:
    table = node_table(paper_study("celeba"), result("triplet-heml", ROOT, hair=node(GOOD), hat=node(GOOD)))
    assert [row[0] for row in table.rows] == ["hair", "hat", "final"]
    assert table.rows[0][-1] == "83.9 83.6 82.9"
    assert table.rows[2][8] == "hair -50.0 (-70.0 to -30.0)"


@pytest.mark.parametrize(
    ("above", "outside"), [(BELOW, "1"), (Difference(value=-0.01, interval=(-0.05, 0.03), n=40), "0")]
)
def test_parents_below_their_best_child_are_counted(above: Difference, outside: str) -> None:
    row = result("triplet-heml", replace(ROOT, above_child=above), hair=node(GOOD))
    assert parents_table({"triplet-heml": [row]}).rows == (("triplet-heml", "0", "1", "1", outside),)
