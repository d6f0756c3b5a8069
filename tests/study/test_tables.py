import pytest

from tasks.explanation.table import Table
from tasks.study.paper import paper_study
from tasks.study.row_result import RowResult
from tasks.study.tables import study_tables
from tests.study.row_results import GOOD, POOR, node, result


def tables(*results: RowResult, groups: tuple[str | None, ...] = (None,) * 40) -> dict[str, Table]:
    made = study_tables(paper_study("celeba"), results, {}, groups, ("said everywhere",))
    return {table.name: table for table in made}


def test_every_table_whose_rows_are_there_is_made() -> None:
    names = ("snr-heml", "triplet-heml", "fill-black", "framing-full", "framing-auto")
    leaves = {"framing-auto": {"nose": node(GOOD, framing="crop")}}
    found = tables(
        *(result(name, node(GOOD), **leaves.get(name, {"nose": node(POOR)})) for name in names),
        groups=("sure",) * 40,
    )
    assert list(found) == ["table-1", "table-2", "table-3", "groups", "leak", "framing"]
    assert [row[0] for row in found["table-1"].rows] == ["triplet-heml", "snr-heml"]  # the paper's order
    assert {table.notes[-1] for table in found.values()} == {"said everywhere"}


def test_nodes_are_shown_of_the_first_seed() -> None:
    seeds = [result("triplet-heml", node(shares), seed=seed) for seed, shares in ((1, POOR), (0, GOOD))]
    found = tables(*seeds)
    assert found["table-1"].rows[0][10] == "2"
    assert found["table-3"].rows[0][1].startswith("100.0") and found["table-3"].notes[0].startswith("Seed 0.")


@pytest.mark.parametrize("results", [(), (result("framing-auto", node(GOOD)),)])
def test_there_is_no_table_without_its_rows(results: tuple[RowResult, ...]) -> None:
    assert tables(*results) == {}
