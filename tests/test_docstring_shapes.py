from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.metric.distances import snr_distance
from tests.docstring_shapes import check_module, checked, documented, shapes_in
from tests.test_structure import METHOD_ROOMS, python_files

ROWS = """What is computed of rows.

    Args:
        x: float [n, d].
        y: those asked about,
            float [m, d]; None for those of x.
        side: pixels.

    Returns:
        float32 [n, m] in [0, 4], and uint8 [3, side, side + 1].
    """
X, Y = torch.zeros(4, 5), torch.zeros(3, 5)
DISTANCES, PICTURE = torch.zeros(4, 3, requires_grad=True), np.zeros((3, 2, 3), dtype=np.uint8)


def call(docstring: str, result: Any, *given: Any, **named: Any) -> Any:
    def crossed(x: Any, y: Any, side: int = 2) -> Any:
        return result

    return checked(crossed, documented(docstring))(*given, **named)


def test_a_true_docstring_changes_nothing() -> None:
    result = (DISTANCES, PICTURE)
    assert call(ROWS, result, X, y=Y) is result
    assert call(ROWS, result, X, None) is result
    assert call(ROWS, [X, X], [X, Y], Y) == [X, X]  # lists: each on its own


@pytest.mark.parametrize(
    ("x", "y", "result", "wrong"),
    [
        (X.long(), Y, (DISTANCES, PICTURE), r"crossed: x is torch.int64 \[4, 5\], but documented as float \[n, d\]"),
        (X[None], Y, (DISTANCES, PICTURE), r"x is torch.float32 \[1, 4, 5\]"),
        ([X, X[0]], Y, (DISTANCES, PICTURE), r"x is torch.float32 \[5\]"),
        (X, Y[:, :2], (DISTANCES, PICTURE), r"y is torch.float32 \[3, 2\], but documented as float \[m, d\]"),
        (X, Y, (DISTANCES.T, PICTURE), r"returned value 0 is torch.float32 \[3, 4\]"),
        (X, Y, (DISTANCES.double(), PICTURE), "returned value 0 is torch.float64"),
        (X, Y, (DISTANCES + 5, PICTURE), r"returned value 0 is in \[5.0, 5.0\], but documented as .*\[0, 4\]"),
        (X, Y, (DISTANCES, PICTURE[:, :, :2]), r"returned value 1 is uint8 \[3, 2, 2\], .* \[3, side, side \+ 1\]"),
    ],
)
def test_what_is_untrue_is_told(x: Any, y: Any, result: Any, wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        call(ROWS, result, x, y)


def test_a_summary_with_an_arrow_is_held_too() -> None:
    summary = "Cosines, float [n, d] and [m, d] -> [n, m] in [-1, 1]."
    assert call(summary, DISTANCES, X, Y) is DISTANCES
    for y, result, wrong in ((Y, DISTANCES - 2, "what it returns is in"), (Y[0], DISTANCES, "y is torch.float32")):
        with pytest.raises(AssertionError, match=wrong):
            call(summary, result, X, y)


@dataclass(frozen=True)
class Kept:
    """What is kept.

    Attributes:
        rows: int64 [n].
        shares: float64 [n] in [0, 1]; empty without a photo.
        folds: images, int64 [m], and others, int64 [k].
    """

    rows: NDArray[np.int64]
    shares: NDArray[np.float64]
    folds: Any = None

    def first(self) -> Any:
        """The first rows, float64 [n]."""
        return self.rows


def test_data_classes_and_methods_are_held_too() -> None:
    module = ModuleType(__name__)
    vars(module)["Kept"] = type("Kept", (Kept,), {"__doc__": Kept.__doc__, "second": Kept.first})
    check_module(module)
    rows = np.arange(2)
    assert module.Kept(rows, np.ones(0), folds=(rows, X)).second() is rows  # no arrow: the summary is not held
    for shares in (np.ones(3), np.full(2, 1.1), np.ones(2, dtype=np.float32)):
        with pytest.raises(AssertionError, match="Kept: shares is"):
            module.Kept(rows, shares)


def test_shapes_are_read_from_words() -> None:
    read = shapes_in("normalised, float32 [n, 3, h', w']; scaled to [0, 1], with bool [n] and of [2] in [-1, inf]")
    assert [(shape.dtype, *shape.sizes) for shape in read] == [
        ("float32", "n", "3", "h'", "w'"),
        ("bool", "n"),
        ("", "2"),
    ]
    assert (read[2].low, read[2].high) == (-1, np.inf)
    assert documented("One line.").named == {}


def test_the_method_is_held_to_its_docstrings() -> None:
    assert snr_distance.__wrapped__.__name__ == "snr_distance"  # type: ignore[attr-defined]
    text = "".join(path.read_text() for path in python_files(*(f"tasks/{room}" for room in METHOD_ROOMS)))
    assert len(shapes_in(text)) > 400
