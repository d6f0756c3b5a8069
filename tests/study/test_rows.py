from dataclasses import replace

import pytest

from tasks.errors import InputError
from tasks.metric.losses import LOSSES
from tasks.metric.options import TrainingOptions
from tasks.study.rows import ROWS, TABLE_1, select_rows


def test_table_1_has_ten_rows() -> None:
    assert len(TABLE_1) == 10
    assert [row.name for row in TABLE_1 if row.method == "heml"] == [f"{loss}-heml" for loss in LOSSES]


def test_rows_are_chosen_by_name_and_by_group_each_once() -> None:
    names = [row.name for row in select_rows(["snr-heml", "avsl", "leak", "fill-mean"])]
    assert names == ["avsl", "snr-heml", "fill-background", "fill-black", "fill-mean"]
    assert select_rows(["table-1"]) == TABLE_1


def test_an_unknown_row_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown row 'best': one of table-1, leak, framing, or of triplet-trad"):
        select_rows(["avsl", "best"])


def test_a_row_changes_what_it_is_about() -> None:
    study = TrainingOptions(size=64, loss="snr", fill="black")
    assert ROWS["fill-mean"].options(study, 3) == replace(study, loss="triplet", fill="mean", seed=3)
    assert ROWS["framing-auto"].options(study, 0) == replace(study, loss="triplet", framing="auto")
    assert ROWS["avsl"].options(study, 1) == replace(study, seed=1)
    assert [row.name for row in ROWS.values() if row.controls] == ["fill-background", "fill-black", "fill-mean"]
