import math
from itertools import pairwise

import pytest

from tasks.explanation.distance_colour import DISTANCE_STOPS, distance_colour, ink_on, luminance, score_colour
from tasks.explanation.plain_text import drawable, fitting, font
from tasks.explanation.record import AdditiveReading
from tasks.explanation.wording import (
    additive_words,
    alike,
    among_pairs,
    closest,
    distance,
    interval,
    number,
    percent,
    standing_words,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.126, "0.13"), (-0.5, "\u22120.50"), (-0.001, "0.00"), (None, "n/a"), (math.nan, "n/a"), (math.inf, "∞")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (7.6e-6, 3, "7.6e-6"),
        (2e-12, 3, "2.0e-12"),
        (0.0049, 2, "4.9e-3"),
        (0.0, 3, "0.000"),
        (0.126, 3, "0.126"),
        (-0.2, 2, "\u22120.20"),
        (None, 3, "n/a"),
        (math.nan, 3, "n/a"),
    ],
)
def test_a_distance_is_zero_only_where_it_is(value: float | None, digits: int, text: str) -> None:
    assert distance(value, digits) == text


def test_only_the_same_is_one() -> None:
    assert [alike(value) for value in (0.0, 7.6e-6, 0.0006, None, math.nan)] == [
        "1.000",
        ">0.999",
        "0.999",
        "n/a",
        "n/a",
    ]
    assert alike(0.004, 2) == ">0.99"


@pytest.mark.parametrize(
    ("same_label", "words"),
    [
        (None, "farthest 20 %"),
        (0.0, "closer than all pairs of one label"),
        (30.0, "closer than 70 % of the pairs of one label"),
        (97.0, "farther apart than 97 % of the pairs of one label"),
        (100.0, "farther apart than all pairs of one label"),
    ],
)
def test_a_part_stands_among_the_pairs_of_one_label(same_label: float | None, words: str) -> None:
    assert standing_words(80.0, same_label).replace("\N{NO-BREAK SPACE}", " ") == words


def test_shares_and_intervals() -> None:
    assert percent(0.834) == "83\u00a0%"
    assert percent(None) == "n/a"
    assert interval((0.79, 0.881)) == "0.79 to 0.88"


@pytest.mark.parametrize(
    ("percentile", "words", "short"),
    [
        (17.0, "closer than 83\u00a0% of the validation pairs", "closest 17\u00a0%"),
        (92.0, "farther apart than 92\u00a0% of the validation pairs", "farthest 8\u00a0%"),
        (0.2, "closer than >99\u00a0% of the validation pairs", "closest <1\u00a0%"),
        (0.0, "closer than every validation pair", "closest <1\u00a0%"),
        (100.0, "at least as far apart as every validation pair", "farthest <1\u00a0%"),
    ],
)
def test_a_percentile_in_words(percentile: float, words: str, short: str) -> None:
    assert among_pairs(percentile) == words
    assert closest(percentile) == short


def reading(residual: float, r_squared: float) -> AdditiveReading:
    return AdditiveReading(
        terms={"hair": 1.0},
        weights={"hair": 0.5, "hat": 0.5},
        total=1.0,
        root_distance=0.5 + residual,
        predicted_root_distance=0.5,
        residual=residual,
        r_squared=r_squared,
        rank_correlation=0.5,
        pairs=45,
    )


def test_the_additive_reading_in_words() -> None:
    assert "0.20 farther apart" in additive_words(reading(0.2, 0.7))
    assert "0.20 closer" in additive_words(reading(-0.2, 0.7))
    assert "what its parts suggest" in additive_words(reading(0.001, 0.7))
    assert "hints" in additive_words(reading(0.2, 0.3))
    assert "hints" not in additive_words(reading(0.2, 0.7))
    assert "explains" not in additive_words(reading(0.2, math.nan))


def test_every_colour_carries_legible_text() -> None:
    for step in range(101):
        for colour in (distance_colour(step / 100), score_colour(step / 100), distance_colour(None)):
            light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_colours_meet_their_stops_and_change_steadily() -> None:
    assert [distance_colour(stop) for stop, _ in DISTANCE_STOPS] == [colour for _, colour in DISTANCE_STOPS]
    # Blue falls from alike to opposite, red rises: the order is plain to red-green-blind eyes too.
    channels = [tuple(int(distance_colour(i / 50)[at : at + 2], 16) for at in (1, 5)) for i in range(51)]
    assert channels[0][1] > channels[0][0] + 100
    assert channels[-1][0] > channels[-1][1] + 100
    balance = [red - blue for red, blue in channels]
    assert all(after > before for before, after in pairwise(balance))


def test_text_for_pictures_is_one_line_of_known_letters() -> None:
    assert drawable(" a\n\tb ") == "a b"
    assert drawable("顔x\udcff") == "\ufffdx\ufffd"
    assert drawable("é$_<") == "é$_<"


def test_text_is_cut_to_its_width() -> None:
    assert fitting("nose", 100, size=12) == "nose"
    cut = fitting("a very long name of a part", 80, size=12, bold=True)
    assert cut.startswith("a very")
    assert cut.endswith("…")
    assert font(12, bold=True).getlength(cut) <= 80
