import numpy as np
import pytest

from tasks.errors import InputError
from tasks.judging import pairs as module
from tasks.judging.pairs import draw_pairs


def test_half_of_the_pairs_are_of_one_label_and_none_occurs_twice() -> None:
    labels = np.array([0, 1, 0, 1, 2, 0, 2, 1])
    drawn = draw_pairs(labels, 13, seed=3)
    same = labels[drawn[:, 0]] == labels[drawn[:, 1]]
    assert same.tolist() == [i % 2 == 0 for i in range(13)]
    assert len({frozenset(pair) for pair in drawn.tolist()}) == 13
    assert all(a != b for a, b in drawn.tolist())
    assert (draw_pairs(labels, 13, seed=3) == drawn).all()
    assert (draw_pairs(labels, 13, seed=4) != drawn).any()
    assert {bool(a < b) for a, b in drawn.tolist()} == {True, False}  # either one may be the query


def test_of_many_images_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES", 6)
    drawn = draw_pairs(np.arange(40) % 2, 10, seed=0)
    assert len(np.unique(drawn)) <= 6
    assert drawn.max() > 6


def test_too_few_images_are_named() -> None:
    with pytest.raises(InputError, match=r"4 pairs were asked for, 2 of them of two labels; these 3 images make 0"):
        draw_pairs(np.zeros(3, dtype=np.int64), 4, seed=0)
