from dataclasses import replace

import numpy as np

from tasks.judging.judge import MEASURES, Judged, Sanity
from tasks.judging.judgement_table import judgement_tables, speed_table
from tasks.judging.map_speed import MapSpeed
from tasks.paired_rounds import Ratio
from tests.judging.test_judge import judged_of


def rows() -> list[Judged]:
    sfam = judged_of("sfam", deletion=[0.2, 0.2, 0.2], pointing=[1.0, 1.0, 1.0])
    peer = judged_of("peer", deletion=[0.3, 0.3, 0.3])
    floor = judged_of("floor", deletion=[0.1, 0.25, 0.25])
    fails = Sanity(stages=("all",), rank_correlation=(None,), structural_similarity=(0.5,))
    kept = Sanity(stages=("all",), rank_correlation=(0.95,), structural_similarity=(0.9,))
    return [
        replace(sfam, sanity={"top-down": fails}),
        replace(peer, method=replace(peer.method, gradient=True, title="A|B")),
        replace(floor, method=replace(floor.method, floor=True, given_masks=True), sanity={"top-down": kept}),
    ]


def test_figures_are_in_percent_with_what_is_better_said() -> None:
    table, against, sanity = judgement_tables(rows(), ("on three pairs",))
    assert table.columns == ("method", *(measure.title for measure in MEASURES.values()), "sanity")
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert first["deletion AUC"] == "20.0 (20.0 to 20.0)"
    assert first["pointing game"] == "100.0 (100.0 to 100.0)"
    assert first["average drop"] == "-"
    assert [row[0] for row in table.rows] == ["Sfam", "A|B", "Floor (given the masks, floor)"]
    assert [row[-1] for row in table.rows] == ["passes", "passes", "FAILS"]
    assert table.notes[0] == "on three pairs"
    assert "deletion AUC down" in " ".join(table.notes)
    assert against.rows[0][1] == "+10.0 (+10.0 to +10.0) *"
    assert against.rows[1][1].endswith(", tie")
    assert [row[0] for row in against.rows] == ["A|B", "Floor (given the masks, floor)"]
    assert sanity.columns == ("method", "top-down: all", "verdict")
    assert [row[1] for row in sanity.rows] == ["-", "0.10 / 0.20", "0.95 / 0.90"]
    assert "A&#124;B" in table.markdown()


def test_speed_is_a_ratio_with_its_range() -> None:
    ratio = Ratio(median=3.14, low=2.0, high=4.44)
    speed = MapSpeed(
        layer="layer3",
        device="cpu",
        threads=1,
        maps=64,
        rounds=9,
        sfam=310.4,
        grad_cam=99.6,
        grad_cam_targets_given=120.0,
        ratio=ratio,
        ratio_targets_given=Ratio(median=2.6, low=2.4, high=3.8),
    )
    table = speed_table(speed, ("a note",))
    assert table.rows == (("310", "100", "3.1 x (2.0 to 4.4)", "2.6 x (2.4 to 3.8)"),)
    assert "64 maps a round, 9 rounds" in table.notes[1]


def test_without_sfam_there_is_no_comparison() -> None:
    assert [table.name for table in judgement_tables(rows()[1:], ())] == ["judgement", "sanity"]
    assert np.isnan(rows()[1].values["drop"]).all()
