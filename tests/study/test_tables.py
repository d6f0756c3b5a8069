from dataclasses import replace

import pytest

from tasks.explanation.table import Table
from tasks.metric.compare import Difference
from tasks.metric.controls import Controlled
from tasks.metric.evaluation import Precision
from tasks.study.paper import paper_study
from tasks.study.row_result import NodeRow, RowResult
from tasks.study.step_cost import StepCost
from tasks.study.tables import paper_cell, shares_over_seeds, study_tables

STUDY = paper_study("celeba")


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


def tables(
    *results: RowResult, costs: dict[str, list[StepCost]] | None = None, groups: tuple[str | None, ...] = ()
) -> dict[str, Table]:
    made = study_tables(STUDY, results, costs or {}, groups or (None,) * 40, ("said everywhere",))
    return {table.name: table for table in made}


GOOD, POOR = (1.0,) * 40, (1.0, 0.0) * 20


def test_table_1_sets_every_row_beside_the_paper_and_the_best() -> None:
    composed = node(GOOD, composed=precision(0.99), composed_shares=(1.0,) * 39 + (0.0,))
    table = tables(result("snr-heml", composed), result("triplet-traditional", node(POOR)))["table-1"]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["triplet-traditional", "snr-heml"]  # the paper's order
    assert rows["snr-heml"]["P@1 own"] == "100.0 (95.0 to 105.0)"
    assert rows["snr-heml"]["P@1 composed"].startswith("99.0 (")
    assert rows["snr-heml"]["P@1 composed against triplet-traditional"].startswith("+47.5 (")
    assert rows["snr-heml"]["P@1 own against the best"] == "best"
    assert rows["snr-heml"]["paper P@1 2 8"] == "90.0 89.8 89.5"
    poor = rows["triplet-traditional"]
    assert poor["P@1 own against the best"].startswith("-50.0 (") and "tie" not in poor["P@1 own against the best"]
    assert table.rows[0][:7] == ("triplet-traditional", poor["P@1 own"], "40.0", "-", "-", "-", "-")
    assert table.notes[-1] == "said everywhere"


def test_a_difference_inside_the_interval_is_called_a_tie() -> None:
    nearly = (0.0, *GOOD[1:])
    table = tables(result("avsl", node(GOOD)), result("snr-heml", node(nearly)))["table-1"]
    assert table.rows[1][8].endswith(", tie")


def test_seeds_are_averaged_image_by_image() -> None:
    two = [result("avsl", node((1.0, 0.0)), seed=1), result("avsl", node((1.0, 1.0)), seed=0)]
    assert shares_over_seeds(two) == {0: 1.0, 1: 0.5}
    [row] = tables(*two)["table-1"].rows
    assert row[1].startswith("75.0 (") and row[1].endswith(", seeds 50.0 to 100.0")
    assert row[7] == "50.0 / -"
    assert row[10] == "2"


def test_table_2_adds_the_seconds_up_and_names_the_settings() -> None:
    cost = StepCost(
        method="avsl", trunk="resnet50", size=224, batch=180, device="cpu", seconds=1.0, peak_memory=16 * 10**9
    )
    tree = result("triplet-heml", node(GOOD), hair=node(GOOD, seconds=5.0))
    failed = replace(cost, method="heml", peak_memory=0, failed="no memory")
    table = tables(tree, costs={"published": [failed, cost]})["table-2"]
    assert table.rows[0] == (
        "heml",
        "15 s",
        "-",
        "not measured: no memory (resnet50, 224 px, batch 180, cpu)",
        "4-6 min",
        "2-3 GB",
    )
    assert table.rows[2] == (
        "avsl",
        "-",
        "-",
        "1.00 s, 16.00 GB (resnet50, 224 px, batch 180, cpu)",
        "2-3 min",
        "18-20 GB",
    )


def test_table_3_shows_every_node_beside_the_paper_s() -> None:
    below = Difference(value=-0.5, interval=(-0.7, -0.3), n=40)
    root = node(POOR, best_child="hair", above_child=below, children=("hair", "hat"), composed=precision(0.9))
    found = tables(result("triplet-heml", root, hair=node(GOOD), hat=node(GOOD)))
    assert [row[0] for row in found["table-3"].rows] == ["hair", "hat", "final"]
    assert found["table-3"].rows[0][-1] == "83.9 83.6 82.9"
    assert found["table-3"].rows[2][8] == "hair -50.0 (-70.0 to -30.0)"
    assert found["parents"].rows == (("triplet-heml", "0", "1", "1", "1"),)
    tie = replace(below, value=-0.01, interval=(-0.05, 0.03))
    tied = tables(result("triplet-heml", replace(root, above_child=tie), hair=node(GOOD)))["parents"]
    assert tied.rows == (("triplet-heml", "0", "1", "1", "0"),)


def test_the_leak_sets_each_fill_beside_the_controls() -> None:
    above = Difference(value=0.1, interval=(0.05, 0.15), n=40)
    controls = Controlled(shape=precision(0.6), background=precision(0.8), above=above)
    rows = [result(name, node(GOOD), nose=node(POOR, controls=controls)) for name in ("fill-background", "fill-black")]
    table = tables(*rows)["leak"]
    assert table.columns[:3] == ("leaf", "fill-background: P@1", "fill-background: above controls")
    nose = table.rows[0]
    assert nose == (
        "nose",
        "50.0 (45.0 to 55.0)",
        "+10.0 (+5.0 to +15.0)",
        "50.0 (45.0 to 55.0)",
        "+10.0 (+5.0 to +15.0)",
        "60.0 (55.0 to 65.0)",
        "80.0 (75.0 to 85.0)",
    )


def test_framing_compares_the_leaves_that_are_cropped() -> None:
    crop = node(GOOD, framing="crop", size=32, seconds=8.0, pictures=200)
    auto = result("framing-auto", node(GOOD), nose=crop, skin=node(GOOD))
    full = result("framing-full", node(GOOD), nose=node(POOR), skin=node(GOOD))
    table = tables(auto, full)["framing"]
    [nose] = table.rows
    assert nose[:2] == ("nose", "32 px")
    assert nose[4].startswith("+50.0 (") and nose[5] == "0.40"
    assert "skin" in table.notes[0]


def test_groups_are_told_apart() -> None:
    groups = ("sure",) * 30 + ("doubtful",) * 9 + (None,)
    shares = (1.0,) * 30 + (0.0,) * 10
    composed = node(shares, composed=precision(1.0), composed_shares=(1.0,) * 40)
    table = tables(result("snr-heml", composed), groups=groups)["groups"]
    assert table.columns == ("model", "decision", "doubtful", "sure")
    assert table.rows == (
        ("snr-heml", "own", "0.0 (0.0 to 0.0)", "100.0 (100.0 to 100.0)"),
        ("snr-heml", "composed", "100.0 (100.0 to 100.0)", "100.0 (100.0 to 100.0)"),
    )
    assert table.notes[0] == "Validation images: doubtful 9, sure 30."
    assert "groups" not in tables(result("snr-heml", composed))


@pytest.mark.parametrize("results", [(), (result("framing-auto", node(GOOD)),)])
def test_there_is_no_table_without_its_rows(results: tuple[RowResult, ...]) -> None:
    assert tables(*results) == {}


def test_the_paper_s_figures_are_in_percent() -> None:
    assert (paper_cell((88.1, 89.0, 88.6)), paper_cell(None)) == ("88.1 89.0 88.6", "-")
