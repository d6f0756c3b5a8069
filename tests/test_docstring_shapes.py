from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.metric.distances import snr_distance
from tests.docstring_shapes import check_module, checked, documented, held, shapes_in
from tests.test_structure import METHOD_ROOMS

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
    assert call(ROWS, result, [X, Y], Y) is result  # of a list each on its own


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


EACH = """What is made of rows.

    Args:
        x: float [n, d].

    Returns:
        float32 [n, 2] each.
    """


@pytest.mark.parametrize("held_together", [lambda one: [one], lambda one: (one, one, one), lambda one: {"a": one}])
def test_arrays_that_are_returned_together_are_held_one_by_one(held_together: Callable[[Any], Any]) -> None:
    call(EACH, held_together(torch.zeros(4, 2)), X, Y)
    with pytest.raises(AssertionError, match=r"what it returns is torch\.float32"):
        call(EACH, held_together(torch.zeros(4, 3)), X, Y)


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
        """The first rows, int64 [n]."""
        return self.rows

    @property
    def last(self) -> Any:
        """The last rows, int64 [n, 1]."""
        return self.rows

    @classmethod
    def of(cls, rows: Any) -> Any:
        """Rows, float [n], to what is kept of them."""
        return cls(rows, np.ones(len(rows)))


class Pair(NamedTuple):
    """A pair.

    Attributes:
        a: float64 [n].
        b: float64 [n].
    """

    a: Any
    b: Any


def plain(x: Any) -> Any:
    """Rows, float [n, d] -> [n]."""
    return x


@pytest.fixture
def module() -> ModuleType:
    """With a data class, a named tuple, a function and a table of functions, all held to their docstrings."""
    module = ModuleType(__name__)
    for name, kind in {"Kept": Kept, "Pair": Pair}.items():  # copies: these stay as they are
        kept = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
        vars(module)[name] = type(name, kind.__bases__, kept)
    vars(module).update(plain=plain, BY_NAME={"plain": plain})
    check_module(module)
    return module


def test_data_classes_and_methods_are_held_too(module: ModuleType) -> None:
    rows = np.arange(2)
    kept = module.Kept(rows, np.ones(0), folds=(rows, X))
    assert kept.first() is rows
    for shares in (np.ones(3), np.full(2, 1.1), np.ones(2, dtype=np.float32)):
        with pytest.raises(AssertionError, match="Kept: shares is"):
            module.Kept(rows, shares)
    with pytest.raises(AssertionError, match=r"Kept.last: what it returns is int64 \[2\]"):
        _ = kept.last
    with pytest.raises(AssertionError, match=r"Kept.of: rows is int64 \[2\]"):
        module.Kept.of(rows)


def test_named_tuples_and_functions_in_tables_are_held_too(module: ModuleType) -> None:
    assert module.Pair(np.ones(2), b=np.ones(2)).a.sum() == 2
    with pytest.raises(AssertionError, match="Pair: b is"):
        module.Pair(np.ones(2), np.ones(3))
    for held_function in (module.plain, module.BY_NAME["plain"]):
        with pytest.raises(AssertionError, match="plain: what it returns is"):
            held_function(X)


def test_shapes_are_read_from_words() -> None:
    read = shapes_in("normalised, float32\n [n, 3, h', w']; scaled to [0, 1], with bool [n] and of [2] in\n [-1, inf]")
    assert [(shape.dtype, *shape.sizes) for shape in read] == [
        ("float32", "n", "3", "h'", "w'"),
        ("bool", "n"),
        ("", "2"),
    ]
    assert (read[2].low, read[2].high) == (-1, np.inf)
    assert [shape.sizes for shape in shapes_in("float [2, 2]")] == [("2", "2")]
    assert documented("One line.").count == 0


def test_the_method_is_held_to_its_docstrings() -> None:
    for room in METHOD_ROOMS:
        package = import_module(f"tasks.{room}")
        for found in iter_modules(package.__path__):
            if found.name != "__main__":
                import_module(f"{package.__name__}.{found.name}")
    assert snr_distance.__wrapped__.__name__ == "snr_distance"  # type: ignore[attr-defined]
    where = [place for place in held if place.startswith("tasks.")]
    assert len(where) > 450
    assert {place.split(".")[1] for place in where} >= {"segments", "metric", "explanation", "judging", "bias"}
