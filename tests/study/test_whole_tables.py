from tasks.study.paper import paper_study
from tasks.study.whole_tables import group_table, whole_table
from tests.study.row_results import GOOD, POOR, node, precision, result

STUDY = paper_study("celeba")


def test_table_1_sets_every_row_beside_the_paper_and_the_best() -> None:
    composed = node(GOOD, composed=precision(0.99), composed_shares=(1.0,) * 39 + (0.0,))
    roots = {"triplet-traditional": node(POOR), "snr-heml": composed}
    table = whole_table(STUDY, {name: [result(name, root)] for name, root in roots.items()})
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["snr-heml"]["P@1 own"] == "100.0 (95.0 to 105.0)"
    assert rows["snr-heml"]["P@1 composed"].startswith("99.0 (")
    assert rows["snr-heml"]["P@1 composed against triplet-traditional"].startswith("+47.5 (")
    assert rows["snr-heml"]["P@1 own against the best"] == "best"
    assert rows["snr-heml"]["paper P@1 2 8"] == "90.0 89.8 89.5"
    poor = rows["triplet-traditional"]
    assert poor["P@1 own against the best"].startswith("-50.0 (") and "tie" not in poor["P@1 own against the best"]
    assert table.rows[0][:7] == ("triplet-traditional", poor["P@1 own"], "40.0", "-", "-", "-", "-")


def test_a_difference_inside_the_interval_is_called_a_tie() -> None:
    nearly = (0.0, *GOOD[1:])
    table = whole_table(STUDY, {"avsl": [result("avsl", node(GOOD))], "snr-heml": [result("snr-heml", node(nearly))]})
    assert table.rows[1][8].endswith(", tie")


def test_groups_are_told_apart() -> None:
    groups = ("sure",) * 30 + ("doubtful",) * 9 + (None,)
    shares = (1.0,) * 30 + (0.0,) * 10
    composed = node(shares, composed=precision(1.0), composed_shares=(1.0,) * 40)
    rows = {"snr-heml": [result("snr-heml", composed)]}
    table = group_table(rows, groups)
    assert table.columns == ("model", "decision", "doubtful", "sure")
    assert table.rows == (
        ("snr-heml", "own", "0.0 (0.0 to 0.0)", "100.0 (100.0 to 100.0)"),
        ("snr-heml", "composed", "100.0 (100.0 to 100.0)", "100.0 (100.0 to 100.0)"),
    )
    assert table.notes[0] == "Validation images: doubtful 9, sure 30."
    assert group_table(rows, (None,) * 40).rows == ()
