from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from scipy.stats import bootstrap

from tasks.metric import precision
from tasks.metric.distances import squared_euclidean_distance
from tasks.metric.precision import bootstrap_interval, precision_per_query, precisions_among


def mean_over_tie_breaks(distances: list[int], same: list[bool], k: int) -> float:
    """The share among the K nearest, averaged over all orders in which equal distances can be broken."""
    shares = []
    for order in permutations(range(len(distances))):
        ranked = sorted(order, key=lambda j: distances[j])  # stable: ties stay in the order of the permutation
        shares.append(sum(same[j] for j in ranked[:k]) / k)
    return float(np.mean(shares))


@st.composite
def tied_problems(draw: st.DrawFn) -> tuple[list[list[int]], list[int], int]:
    n = draw(st.integers(2, 5))
    row = st.lists(st.integers(0, 2), min_size=n, max_size=n)
    distances = draw(st.lists(row, min_size=n, max_size=n))
    return distances, draw(row), draw(st.integers(1, n - 1))


@given(tied_problems())
@settings(max_examples=80)
def test_ties_count_by_expectation(problem: tuple[list[list[int]], list[int], int]) -> None:
    distances, labels, k = problem
    matrix, tags = torch.tensor(distances, dtype=torch.float32), torch.tensor(labels)
    got = precision_per_query(matrix, tags, tags, k)
    alone = precision_per_query(matrix, tags, tags, k, exclude_self=True)
    for i, row in enumerate(distances):
        same = [label == labels[i] for label in labels]
        assert got[i].item() == pytest.approx(mean_over_tie_breaks(row, same, k))
        others = [j for j in range(len(row)) if j != i]
        expected = mean_over_tie_breaks([row[j] for j in others], [same[j] for j in others], k)
        assert alone[i].item() == pytest.approx(expected)


def test_all_at_one_distance_give_the_share_of_the_label() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    got = precision_per_query(torch.zeros(4, 4), labels, labels, 2, exclude_self=True)
    assert got.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
@pytest.mark.parametrize("k", [1, 2, 8])
def test_against_a_double_loop(k: int, rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "DISTANCES_AT_ONCE", 30 * rows_at_once)
    generator = np.random.default_rng(k)
    distances, labels = generator.random((30, 30)), generator.integers(0, 3, 30)
    got = precision_per_query(
        torch.from_numpy(distances), torch.from_numpy(labels), torch.from_numpy(labels), k, exclude_self=True
    )
    for i in range(30):
        others = sorted((distances[i, j], labels[j] == labels[i]) for j in range(30) if j != i)
        assert got[i].item() == pytest.approx(sum(same for _, same in others[:k]) / k)


@pytest.mark.parametrize("at_once", [1, 35, 200])
def test_several_k_a_block_at_a_time_against_every_tie_break(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven queries in an order of their own among seven references on a line; places 0 and 1 are the same."""
    monkeypatch.setattr(precision, "DISTANCES_AT_ONCE", at_once)
    references = [0.0, 0.0, 1.0, 2.0, 3.0, 5.0, 9.0]
    labels = [0, 1, 0, 0, 1, 1, 0]
    own = [6, 2, 0, 1, 4, 4, 5, 3, 0, 2, 6]
    queries = [references[place] for place in own]
    asked: list[int] = []

    def distance(x: torch.Tensor) -> torch.Tensor:
        asked.append(len(x))
        return (x - torch.tensor(references)).abs()

    tags, among = torch.tensor([labels[place] for place in own]), torch.tensor(labels)
    rows = torch.tensor(queries)[:, None]
    found = precisions_among(distance, rows, tags, among, [1, 2, 4], own=torch.tensor(own))
    assert max(asked) == {1: 1, 35: 5, 200: 11}[at_once]
    alone = precisions_among(distance, rows, tags, among, [1, 2, 4])
    for i, (place, query) in enumerate(zip(own, queries, strict=True)):
        away = [int(abs(query - one)) for one in references]
        same = [label == labels[place] for label in labels]
        others = [j for j in range(7) if j != place]
        for k in (1, 2, 4):
            expected = mean_over_tie_breaks([away[j] for j in others], [same[j] for j in others], k)
            assert found[k][i].item() == pytest.approx(expected)
            assert alone[k][i].item() == pytest.approx(mean_over_tie_breaks(away, same, k))


def test_precisions_among_none_and_of_none() -> None:
    labels = torch.tensor([0, 1])

    def distance(x: torch.Tensor) -> torch.Tensor:
        return torch.cdist(x, torch.tensor([[0.0], [torch.nan]]))

    nobody = precisions_among(distance, torch.empty(0, 1), labels[:0], labels, [1, 2])
    assert {k: shares.shape for k, shares in nobody.items()} == {1: (0,), 2: (0,)}
    with pytest.raises(ValueError, match="got k=2 with 1 references"):
        precisions_among(distance, torch.zeros(2, 1), labels, labels, [1, 2], own=torch.arange(2))
    with pytest.raises(ValueError, match="got NaN"):
        precisions_among(distance, torch.zeros(2, 1), labels, labels, [1])


def test_p_at_1_equals_the_library_s() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(60, 5, generator=generator), torch.randint(0, 4, (60,), generator=generator)
    calculator = AccuracyCalculator(
        include=("precision_at_1",), k=1, knn_func=CustomKNN(LpDistance(normalize_embeddings=True))
    )
    expected = calculator.get_accuracy(embeddings, labels)["precision_at_1"]
    distances = squared_euclidean_distance(embeddings, embeddings)
    assert precision_per_query(distances, labels, labels, 1, exclude_self=True).mean().item() == pytest.approx(expected)


def test_p_at_8_may_be_below_p_at_1_as_it_is_no_recall() -> None:
    labels = torch.tensor([0, 0, *[1] * 8])
    distances = torch.arange(9.0)[None]
    got = {k: precision_per_query(distances, labels[:1], labels[1:], k).item() for k in (1, 2, 8)}
    assert got == {1: 1.0, 2: 0.5, 8: pytest.approx(1 / 8)}


def test_queries_and_references_may_differ() -> None:
    distances = torch.tensor([[0.3, 0.1, 0.2], [0.1, 0.2, 0.3]])
    queries, references = torch.tensor([5, 6]), torch.tensor([5, 6, 5])
    assert precision_per_query(distances, queries, references, 1).tolist() == [0, 0]
    assert precision_per_query(distances, queries, references, 2).tolist() == [0.5, 0.5]
    assert precision_per_query(distances, queries, references, 3).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_an_infinite_distance_is_the_farthest_and_is_not_the_query_itself() -> None:
    infinite = float("inf")
    distances = torch.tensor([[0.0, infinite, 1.0], [infinite, 0.0, infinite], [1.0, infinite, 0.0]])
    labels = torch.tensor([0, 0, 1])
    assert precision_per_query(distances, labels, labels, 1, exclude_self=True).tolist() == [0, 0.5, 0]
    assert precision_per_query(distances, labels, labels, 2, exclude_self=True).tolist() == [0.5, 0.5, 0]


def test_wrong_input_is_named() -> None:
    square, labels = torch.zeros(3, 3), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ValueError, match="1 <= k <= references; got k=3 with 2 references"):
        precision_per_query(square, labels, labels, 3, exclude_self=True)
    with pytest.raises(ValueError, match="got k=4 with 3 references"):
        precision_per_query(square, labels, labels, 4)
    with pytest.raises(ValueError, match="got k=0"):
        precision_per_query(square, labels, labels, 0)
    with pytest.raises(ValueError, match=r"n query and m reference labels"):
        precision_per_query(square, labels[:2], labels, 1)
    with pytest.raises(ValueError, match=r"n query and m reference labels"):
        precision_per_query(square, labels, labels[:2], 1)
    with pytest.raises(ValueError, match="n = m without self"):
        precision_per_query(square[:2], labels[:2], labels, 1, exclude_self=True)
    with pytest.raises(ValueError, match="got NaN"):
        precision_per_query(square * torch.nan, labels, labels, 1)


def test_the_interval_of_equal_shares_is_a_point() -> None:
    assert bootstrap_interval(np.full(20, 0.75)) == (0.75, 0.75)


def test_the_interval_is_about_scipy_s() -> None:
    shares = np.random.default_rng(3).choice([0.0, 0.25, 1.0], size=150, p=[0.2, 0.2, 0.6])
    expected = bootstrap((shares,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1))
    # The spread of an end among 1,000 resampled means: sqrt(0.025 * 0.975 / 1000) over the density there, about 0.002.
    assert bootstrap_interval(shares) == pytest.approx(tuple(expected.confidence_interval), abs=0.01)


def test_the_interval_has_the_width_that_the_normal_distribution_says() -> None:
    shares = np.repeat([0.0, 1.0], [80, 320])
    low, high = bootstrap_interval(shares)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert low == pytest.approx(0.8 - half, abs=0.01)
    assert high == pytest.approx(0.8 + half, abs=0.01)


def test_one_seed_one_interval() -> None:
    shares = np.random.default_rng(0).random(50)
    assert bootstrap_interval(shares) == bootstrap_interval(shares.copy())
