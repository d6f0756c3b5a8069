from dataclasses import replace
from typing import Any

import pytest

from tasks.bias.bias_record import BiasReport
from tasks.bias.bias_tables import bias_tables
from tasks.bias.bias_words import amplified, verdict
from tasks.explanation.table import Table


def tables(report: BiasReport) -> dict[str, Table]:
    return {table.name: table for table in bias_tables(report)}


def test_every_row_fills_its_columns(make_report: Any) -> None:
    for report in (make_report(), make_report(flagged=(), grouped=False)):
        for table in bias_tables(report):
            assert table.rows
            assert {len(row) for row in table.rows} == {len(table.columns)}
            assert table.notes


def test_the_tables_of_groups_are_left_out_without_groups(make_report: Any) -> None:
    assert list(tables(make_report())) == ["segments", "groups", "what-if", "counts", "amplification"]
    assert list(tables(make_report(grouped=False))) == ["segments", "what-if", "counts"]


def test_leaves_by_falling_score_with_their_figures(make_report: Any) -> None:
    rows = {row[0]: row[1:] for row in tables(make_report())["segments"].rows}
    assert next(iter(rows)) == "cloth"
    # 0.55 -+ 1.96 sqrt(0.55 * 0.45 / 200) is 0.481 to 0.619, 0.53 likewise, 0.506 likewise.
    assert rows["cloth"] == (
        "95.3 → 64.1, drop 31.2 (alarm)",
        "-",
        "55.0 (48.1 to 61.9)",
        "53.0 (46.1 to 59.9)",
        "+9.0 (+4.0 to +14.0)",
        "50.6 (43.7 to 57.5), blue (alarm)",
        "64.0 (64.0 to 64.0)",
        "shortcut",
    )
    look, presence, *_, within, p_at_1, said = rows["hat"]
    assert (look, presence, within, p_at_1, said) == ("-", "51.2 → 50.3, drop 0.9", "-", "-", "no alarm")


def test_the_notes_say_how_to_read_the_figures(make_report: Any) -> None:
    notes = " ".join(tables(make_report())["segments"].notes)
    for said in (
        "half of the training photos",
        "1/2 by chance",
        "5 % over all parts together (Holm)",
        "not what causes",
    ):
        assert said in notes
    assert "within one group" in notes
    assert "within one group" not in " ".join(tables(make_report(grouped=False))["segments"].notes)


def test_groups_with_the_worst_and_the_gap(make_report: Any) -> None:
    groups = tables(make_report())["groups"]
    assert groups.rows[1] == ("man", "red", "50", "58.0 (52.0 to 63.0)")
    assert "Worst: man of the group red, 58.0." in groups.notes[0]
    assert "19.8 (11.0 to 27.0) points" in groups.notes[0]
    by_hat = tables(replace(make_report(), group="hat"))["groups"]
    assert "whether hat is there" in by_hat.notes[1]


def test_what_if_by_falling_share(make_report: Any) -> None:
    what_if = tables(make_report())["what-if"]
    assert [row[0] for row in what_if.rows] == ["cloth", "hair", "hat"]
    assert what_if.rows[0][1:] == (
        "41.0 (36.0 to 46.0)",
        "3.0 (0.0 to 8.0)",
        "41.2 (36.2 to 46.2)",
        "3.0 (0.0 to 8.0)",
        "64",
    )


def test_a_leaf_without_a_model_has_flips_by_the_decision_alone(make_report: Any) -> None:
    report = make_report()
    hat = report.what_if[0]
    kept = [{node: flips for node, flips in of.items() if node != "hat"} for of in (hat.other_label, hat.same_label)]
    bare = replace(hat, other_label=kept[0], same_label=kept[1])
    rows = tables(replace(report, what_if=(bare,)))["what-if"].rows
    assert rows == (("hat", "2.0 (0.0 to 7.0)", "3.0 (0.0 to 8.0)", "-", "-", "64"),)


def test_counts_are_shares_of_their_cell(make_report: Any) -> None:
    counts = tables(make_report())["counts"]
    assert counts.columns[:5] == ("split", "label", "group", "photos", "cloth")
    # Two photos of each cell lack cloth: of 100, and of 50.
    assert counts.rows[0][:5] == ("train", "man", "blue", "100", "98.0")
    assert counts.rows[-1][:5] == ("validation", "woman", "red", "50", "96.0")
    assert tables(make_report(grouped=False))["counts"].rows[0][2] == "-"


@pytest.mark.parametrize(
    ("interval", "said"),
    [((0.01, 0.2), "amplified"), ((-0.2, -0.01), "less than in the data"), ((-0.1, 0.1), "no difference")],
)
def test_amplification_is_claimed_where_the_interval_leaves_out_0(interval: tuple[float, float], said: str) -> None:
    assert said in amplified(interval)


def test_verdicts(make_report: Any) -> None:
    cloth = make_report().segments[0]
    assert verdict(cloth) == "shortcut"
    assert verdict(replace(cloth, label_function=True)) == "shortcut, its presence gives the label away"
    calm = replace(cloth, look=None, within=None)
    assert verdict(calm) == "not judged"
