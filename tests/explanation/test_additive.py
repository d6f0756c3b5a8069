from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, spearmanr
from torch import Tensor

from tasks.explanation import additive as module
from tasks.explanation.additive import fit_additive, leaf_term
from tasks.metric.composed import PartEmbeddings


def vectors(n: int, seed: int, d: int = 5) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32))


def squared(a: Tensor | None, b: Tensor | None) -> float:
    """|a - b|^2 of the normalised vectors; what is absent is the zero vector."""
    a, b = (
        torch.zeros(1) if row is None else row.double() / row.double().norm() for row in (a, b)
    )  # zeros of one entry fit a vector of any length
    return ((a - b) ** 2).sum().item() if len(a) == len(b) > 1 else abs(float((a**2).sum() - (b**2).sum()))


def test_a_leaf_s_term_is_the_squared_distance_of_normalised_embeddings() -> None:
    for seed in range(5):
        a, b = vectors(2, seed)
        expected = sum((x - y) ** 2 for x, y in zip(a / a.norm(), b / b.norm(), strict=True)).item()
        assert leaf_term(a, b) == pytest.approx(expected, rel=1e-5)
    a = vectors(1, 0)[0]
    assert leaf_term(a, 3 * a) == pytest.approx(0, abs=1e-6)
    assert leaf_term(a, -a) == pytest.approx(4)


def test_an_absent_part_is_the_zero_vector() -> None:
    a = vectors(1, 0)[0]
    assert leaf_term(a, None) == leaf_term(None, a) == 1
    assert leaf_term(None, None) == 0


Images = list[Tensor | None]


def fit_by_hand(leaves: list[Images], weights: list[float], root: Images) -> tuple[float, float, float, float, int]:
    """Slope, intercept, R^2, Spearman's rank correlation and number of pairs, by scipy over a double loop."""
    sums, distances = [], []
    for i in range(len(root)):
        for j in range(i):
            sums.append(sum(w * squared(leaf[i], leaf[j]) for w, leaf in zip(weights, leaves, strict=True)))
            distances.append(squared(root[i], root[j]))
    line = linregress(sums, distances)
    return line.slope, line.intercept, line.rvalue**2, spearmanr(sums, distances).statistic, len(sums)


def record(images: Images, indices: list[int]) -> PartEmbeddings:
    """The embeddings that are there, and the indices of their images."""
    there = [(vector, index) for vector, index in zip(images, indices, strict=True) if vector is not None]
    return PartEmbeddings(
        embeddings=torch.stack([vector for vector, _ in there]), indices=torch.tensor([index for _, index in there])
    )


def part(embeddings: Tensor) -> PartEmbeddings:
    """A part that every image shows."""
    return PartEmbeddings(embeddings=embeddings, indices=torch.arange(len(embeddings)))


def test_the_fit_is_scipy_s_over_all_pairs_with_absent_parts_as_zero() -> None:
    n, indices = 12, list(range(100, 112))
    root: Images = list(vectors(n, 0))
    hair, hat = list[Tensor | None](vectors(n, 1)), list[Tensor | None](vectors(n, 2, d=3))
    for absent in (2, 3, 7):
        hat[absent] = None
    leaves = {"hair": record(hair, indices), "hat": record(hat, indices)}
    got = fit_additive(leaves, {"hair": 0.7, "hat": 0.3}, record(root, indices))
    assert got is not None
    expected = fit_by_hand([hair, hat], [0.7, 0.3], root)
    found = (got.slope, got.intercept, got.r_squared, got.rank_correlation, got.pairs)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert got.pairs == 66


@given(st.integers(0, 50), st.integers(1, 4))
def test_a_root_that_is_its_leaves_side_by_side_is_explained_wholly(seed: int, leaves: int) -> None:
    parts = [torch.nn.functional.normalize(vectors(9, seed + 100 * i).double()) for i in range(leaves)]
    root = torch.cat(parts, dim=1)
    weights = {str(i): 1.0 for i in range(leaves)}
    got = fit_additive({str(i): part(rows) for i, rows in enumerate(parts)}, weights, part(root))
    assert got is not None
    # The root's own rows are normalised too, by the square root of the number of leaves.
    assert got.slope == pytest.approx(1 / leaves, rel=1e-6)
    assert got.intercept == pytest.approx(0, abs=1e-6)
    assert got.r_squared == pytest.approx(1)
    assert got.rank_correlation == pytest.approx(1)


def test_a_sum_that_says_nothing_explains_nothing() -> None:
    got = fit_additive({"x": part(vectors(40, 1))}, {"x": 1.0}, part(vectors(40, 2)))
    assert got is not None
    assert 0 <= got.r_squared < 0.05
    assert abs(got.rank_correlation) < 0.2


def test_of_many_images_evenly_spaced_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES", 5)
    leaf, root = vectors(9, 1), vectors(9, 2)
    got = fit_additive({"x": part(leaf)}, {"x": 1.0}, part(root))
    monkeypatch.undo()
    some = PartEmbeddings(embeddings=root[::2], indices=torch.arange(9)[::2])
    expected = fit_additive({"x": part(leaf)}, {"x": 1.0}, some)
    assert got == expected
    assert got is not None and got.pairs == 10


@pytest.mark.parametrize(
    "given_data",
    [
        lambda: ({}, part(vectors(5, 0))),
        lambda: ({"x": part(vectors(2, 1))}, part(vectors(2, 0))),
        lambda: ({"x": part(torch.ones(5, 3))}, part(vectors(5, 0))),
        lambda: ({"x": part(vectors(5, 0))}, part(torch.ones(5, 3))),
    ],
    ids=["no leaf", "two images", "leaves that do not vary", "a root that does not vary"],
)
def test_there_is_no_fit_without_something_to_fit(
    given_data: Callable[[], tuple[dict[str, PartEmbeddings], PartEmbeddings]],
) -> None:
    leaves, root = given_data()
    assert fit_additive(leaves, {"x": 1.0}, root) is None


def test_a_leaf_that_no_image_has_adds_nothing() -> None:
    root, leaf, none = part(vectors(6, 0)), part(vectors(6, 1)), part(torch.empty(0, 4))
    weights = {"x": 1.0, "y": 1.0}
    with_it, without_it = fit_additive({"x": leaf, "y": none}, weights, root), fit_additive({"x": leaf}, weights, root)
    assert with_it is not None and without_it is not None
    assert vars(with_it) == pytest.approx(vars(without_it))
