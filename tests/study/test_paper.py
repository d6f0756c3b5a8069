import pytest

from flows.trees import preset_names
from tasks.errors import InputError
from tasks.study.paper import paper_cell, paper_study, study_names
from tasks.study.rows import TABLE_1


@pytest.mark.parametrize("name", study_names())
def test_a_study_has_a_tree_and_a_figure_for_every_row(name: str) -> None:
    study = paper_study(name)
    assert name in preset_names()
    assert set(study.table_1) == {row.name for row in TABLE_1}
    assert all(len(figures) == 3 and all(50 < figure < 100 for figure in figures) for figures in study.table_1.values())
    assert set(study.table_2) == {"heml", "traditional", "avsl"}


def test_what_the_paper_says_of_celeba() -> None:
    study = paper_study("celeba")
    assert study.table_1["snr-heml"] == (90.0, 89.8, 89.5)  # the best of Table I
    assert len(study.table_3) == 31
    assert study.table_3["final"] == study.table_1["triplet-heml"]
    # Combined nodes below their best child, by the preset's pairs: 6 of 15.
    pairs = {
        "a": "neck cloth", "b": "hair hat", "c": "l_eye r_eye", "d": "l_brow r_brow", "e": "l_ear r_ear",
        "f": "ear_r eye_g", "g": "nose skin", "h": "u_lip l_lip", "m": "a b", "n": "c d", "o": "e f", "p": "g h",
        "x": "m n", "y": "o p", "final": "x y",
    }  # fmt: skip
    lost = [
        name
        for name, children in pairs.items()
        if study.table_3[name][0] < max(study.table_3[child][0] for child in children.split())
    ]
    assert len(lost) == 6


def test_an_unknown_study_is_named() -> None:
    with pytest.raises(InputError, match="unknown study 'cub': one of celeba, human-parsing, sceneparse150"):
        paper_study("cub")


def test_the_paper_s_figures_are_in_percent() -> None:
    assert (paper_cell((88.1, 89.0, 88.6)), paper_cell(None)) == ("88.1 89.0 88.6", "-")


def test_what_stands_in_for_a_study_is_told_its_size_where_the_paper_says_it() -> None:
    assert paper_study("sceneparse150").stood_for == "SceneParse150 (20,210 training and 2,000 validation photos)"
    assert paper_study("human-parsing").stood_for == "Human Parsing"
