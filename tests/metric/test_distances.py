from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import SNRDistance
from scipy.spatial.distance import cdist

from tasks.metric.distances import (
    OWN_DISTANCES,
    bounded_snr_distance,
    cosine_distance,
    snr_distance,
    squared_euclidean_distance,
)

rows = st.lists(st.integers(-9, 9), min_size=3, max_size=12).filter(lambda row: len(set(row)) > 1)


def tensor(row: list[int]) -> torch.Tensor:
    return torch.tensor([row], dtype=torch.float64)


def random_rows(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.sqrt((row**2).sum())


def test_snr_is_the_variance_of_the_difference_over_that_of_the_signal() -> None:
    x, y = random_rows(5, 7, 0), random_rows(4, 7, 1)
    got = snr_distance(x, y)
    for i in range(5):
        for j in range(4):
            a, b = unit(x[i].numpy()), unit(y[j].numpy())
            assert got[i, j].item() == pytest.approx(np.var(a - b) / np.var(a), rel=1e-12)


def test_snr_equals_the_library_s() -> None:
    x, y = random_rows(6, 16, 2).float(), random_rows(3, 16, 3).float()
    torch.testing.assert_close(snr_distance(x, y), SNRDistance()(x, y), rtol=1e-4, atol=1e-6)


def test_bounded_snr_by_a_double_loop() -> None:
    x, y = random_rows(5, 7, 4), random_rows(4, 7, 5)
    got = bounded_snr_distance(x, y)
    for i in range(5):
        for j in range(4):
            a, b = unit(x[i].numpy()), unit(y[j].numpy())
            expected = np.var(a - b) / (2 * (np.var(a) + np.var(b)))
            assert got[i, j].item() == pytest.approx(expected, rel=1e-12)


@given(rows, st.data())
def test_bounded_snr_lies_in_0_1_and_is_symmetric_and_free_of_scale(row: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(-9, 9), min_size=len(row), max_size=len(row)))
    x, y = tensor(row), tensor(other)
    distance = bounded_snr_distance(x, y).item()
    assert 0 <= distance <= 1
    assert bounded_snr_distance(y, x).item() == pytest.approx(distance, abs=1e-12)
    assert bounded_snr_distance(3 * x, 0.5 * y).item() == pytest.approx(distance, abs=1e-12)


@given(rows)
def test_bounded_snr_is_0_for_rows_that_differ_by_a_constant(row: list[int]) -> None:
    x = tensor(row)
    # This constant keeps the length, so that the rows differ by a constant also after they are L2-normalised.
    assert bounded_snr_distance(x, x - 2 * x.mean()).item() == pytest.approx(0, abs=1e-12)
    assert snr_distance(x, x - 2 * x.mean()).item() == pytest.approx(0, abs=1e-12)


@given(rows)
def test_bounded_snr_is_1_for_opposite_rows(row: list[int]) -> None:
    x = tensor(row)
    assert bounded_snr_distance(x, -x).item() == pytest.approx(1, abs=1e-12)
    assert snr_distance(x, -x).item() == pytest.approx(4, abs=1e-9)


@given(rows, st.data())
def test_bounded_snr_is_one_half_for_uncorrelated_rows(row: list[int], data: st.DataObject) -> None:
    x = tensor(row)[0]
    noise = torch.tensor(data.draw(st.lists(st.integers(-9, 9), min_size=len(row), max_size=len(row))))
    centred = x - x.mean()
    y = noise - noise.double().mean()
    y = y - (y @ centred) / (centred @ centred) * centred  # no correlation with x is left
    assume(y.norm() > 1e-3)
    distance = bounded_snr_distance(x[None], y[None] + data.draw(st.integers(-3, 3))).item()
    assert distance == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("constant", [1.0, 0.1, -3.7])
@pytest.mark.parametrize("d", [3, 7, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_of_equal_values_has_no_variance(constant: float, d: int, dtype: torch.dtype) -> None:
    flat, varied = torch.full((1, d), constant, dtype=dtype), torch.arange(d, dtype=dtype)[None]
    assert snr_distance(flat, flat).item() == 0
    assert bounded_snr_distance(flat, flat).item() == 0
    assert snr_distance(flat, varied).item() == float("inf")
    assert snr_distance(varied, flat).item() == pytest.approx(1)
    assert bounded_snr_distance(varied, flat).item() == pytest.approx(0.5)
    assert bounded_snr_distance(flat, varied).item() == pytest.approx(0.5)


def test_a_row_of_zeros_counts_as_one_without_variance() -> None:
    zero, varied = torch.zeros(1, 4), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert snr_distance(zero, zero).item() == 0
    assert bounded_snr_distance(zero, varied).item() == pytest.approx(0.5)


def test_snr_is_asymmetric_and_the_row_is_the_signal() -> None:
    # By hand: (3, 4, 0) / 5 and (0, 0, 2) / 2; centred x has variance 19/225 - ..., so only the ratio is taken here.
    x, y = torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[0.0, 0.0, 2.0]])
    a, b = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, 1.0])
    assert snr_distance(x, y).item() == pytest.approx(np.var(a - b) / np.var(a))
    assert snr_distance(y, x).item() == pytest.approx(np.var(a - b) / np.var(b))
    assert snr_distance(x, y).item() != pytest.approx(snr_distance(y, x).item())


def test_squared_euclidean_and_cosine_equal_scipy_s() -> None:
    x, y = random_rows(6, 5, 6), random_rows(4, 5, 7)
    a, b = (np.stack([unit(row) for row in part.numpy()]) for part in (x, y))
    np.testing.assert_allclose(squared_euclidean_distance(x, y), cdist(a, b, "sqeuclidean"), rtol=1e-12)
    np.testing.assert_allclose(cosine_distance(x, y), cdist(x, y, "cosine"), rtol=1e-12)


def test_opposite_and_equal_rows_are_the_ends_of_the_ranges() -> None:
    x = random_rows(1, 8, 8)
    assert squared_euclidean_distance(x, -2 * x).item() == pytest.approx(4)
    assert cosine_distance(x, -2 * x).item() == pytest.approx(2)
    assert squared_euclidean_distance(x, 2 * x).item() == pytest.approx(0, abs=1e-15)


def test_the_own_distances_by_name() -> None:
    x, y = random_rows(3, 4, 9), random_rows(2, 4, 10)
    a, b = (np.stack([unit(row) for row in part.numpy()]) for part in (x, y))
    snr = np.array([[np.var(p - q) / np.var(p) for q in b] for p in a])
    expected = {"squared_euclidean": cdist(a, b, "sqeuclidean"), "cosine": cdist(x, y, "cosine"), "snr": snr}
    assert set(OWN_DISTANCES) == set(expected)
    for name, function in OWN_DISTANCES.items():
        np.testing.assert_allclose(function(x, y), expected[name], rtol=1e-10)


@pytest.mark.parametrize("function", [*OWN_DISTANCES.values(), bounded_snr_distance])
def test_distances_keep_the_dtype(function: object) -> None:
    assert callable(function)
    for dtype in (torch.float32, torch.float64):
        assert function(torch.ones(2, 3, dtype=dtype), torch.ones(1, 3, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("function", [*OWN_DISTANCES.values(), bounded_snr_distance])
def test_equal_references_are_at_exactly_equal_distances(function: object) -> None:
    # Blank pictures have one embedding. P@K counts them by expectation, which it can only where they tie to the bit.
    assert callable(function)
    for seed, (n, d) in product(range(10), [(17, 3), (130, 3), (5, 64), (40, 64), (101, 64), (130, 128)]):
        embeddings = random_rows(n, d, seed).float()
        embeddings[n // 2 :] = embeddings[0]
        distances = function(embeddings, embeddings)[:, n // 2 :]
        assert (distances == distances[:, :1]).all(), (seed, n, d)


def test_near_rows_keep_their_small_distance_in_float32() -> None:
    # 1 - cos in float32 would be a multiple of 6e-8.
    x = random_rows(1, 64, 12).float()
    y = x + 1e-3 * random_rows(1, 64, 13).float()
    a, b = (unit(part[0].double().numpy()) for part in (x, y))
    assert squared_euclidean_distance(x, y).item() == pytest.approx(((a - b) ** 2).sum(), rel=1e-4)
    assert bounded_snr_distance(x, y).item() == pytest.approx(np.var(a - b) / 2 / (np.var(a) + np.var(b)), rel=1e-4)


@pytest.mark.parametrize("function", [snr_distance, bounded_snr_distance])
@pytest.mark.parametrize(("x", "y"), [((2, 3), (2, 4)), ((3,), (2, 3)), ((2, 3), (1, 2, 3))])
def test_shapes_that_do_not_fit_are_named(function: object, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match=r"distances need rows \[n,(d|3|4)\].*; got"):
        function(torch.ones(x), torch.ones(y))
