from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import Tensor

from tasks.metric import retrieval as module
from tasks.metric.distances import squared_euclidean_distance
from tasks.metric.precision import bootstrap_interval, precision_per_query
from tasks.metric.retrieval import (
    KS,
    average_precision_at_r,
    recall_per_query,
    retrieval,
)


def recall_of(same: list[bool], k: int) -> float:
    return float(any(same[:k]))


def average_precision_of(same: list[bool]) -> float:
    """As the paper prints it: a sum over the first R places."""
    r = sum(same)
    return sum(sum(same[: i + 1]) / (i + 1) for i in range(r) if same[i]) / r if r else 0.0


def ranking(distances: list[float], labels: list[int], query: int, order: tuple[int, ...]) -> list[bool]:
    """Whether each other image has the query's label, nearest first; ties in the given order."""
    others = sorted((j for j in order if j != query), key=lambda j: distances[j])
    return [labels[j] == labels[query] for j in others]


@st.composite
def tied_problems(draw: st.DrawFn) -> tuple[list[list[int]], list[int], int]:
    n = draw(st.integers(2, 5))
    row = st.lists(st.integers(0, 2), min_size=n, max_size=n)
    return draw(st.lists(row, min_size=n, max_size=n)), draw(row), draw(st.integers(1, n - 1))


@given(tied_problems())
def test_ties_count_by_expectation(problem: tuple[list[list[int]], list[int], int]) -> None:
    distances, labels, k = problem
    matrix, tags = torch.tensor(distances, dtype=torch.float32), torch.tensor(labels)
    recalls, precisions = recall_per_query(matrix, tags, k), average_precision_at_r(matrix, tags)
    orders = list(permutations(range(len(labels))))
    for i, row in enumerate(distances):
        rankings = [ranking(row, labels, i, order) for order in orders]
        assert recalls[i].item() == pytest.approx(np.mean([recall_of(same, k) for same in rankings]))
        assert precisions[i].item() == pytest.approx(np.mean([average_precision_of(same) for same in rankings]))


def problem(n: int, labels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Embeddings that their labels pull together, float [n, 6], and the labels, each of at least two images."""
    generator = torch.Generator().manual_seed(seed)
    tags = torch.cat([torch.arange(labels).repeat(2), torch.randint(0, labels, (n - 2 * labels,), generator=generator)])
    centres = torch.randn(labels, 6, generator=generator)
    return centres[tags] + torch.randn(n, 6, generator=generator), tags


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_against_a_loop(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows_at_once)
    embeddings, labels = problem(40, 5)
    distances = squared_euclidean_distance(embeddings, embeddings)
    rankings = [ranking(distances[i].tolist(), labels.tolist(), i, tuple(range(40))) for i in range(40)]
    for k in KS:
        expected = [recall_of(same, k) for same in rankings]
        assert recall_per_query(distances, labels, k).tolist() == pytest.approx(expected)
    expected = [average_precision_of(same) for same in rankings]
    assert average_precision_at_r(distances, labels).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("lonely", [False, True])
def test_against_the_library_on_shared_definitions(lonely: bool) -> None:
    embeddings, labels = problem(120, 7)
    if lonely:
        labels[::20] = torch.arange(100, 106)  # nobody else has these: not queries, but references
    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(LpDistance(normalize_embeddings=True)),
    )
    expected = calculator.get_accuracy(embeddings, labels)
    distances = squared_euclidean_distance(embeddings, embeddings)
    assert 0.1 < expected["mean_average_precision_at_r"] < 0.9
    found = retrieval(distances, labels)
    assert found.map_at_r is not None and found.recall[1] is not None
    assert found.map_at_r.value == pytest.approx(expected["mean_average_precision_at_r"], abs=1e-6)
    assert found.recall[1].value == pytest.approx(expected["precision_at_1"], abs=1e-6)


def test_recall_at_1_is_precision_at_1() -> None:
    embeddings, labels = problem(60, 4, seed=3)
    distances = squared_euclidean_distance(embeddings, embeddings)
    recall = recall_per_query(distances, labels, 1).mean().item()
    assert recall == pytest.approx(precision_per_query(distances, labels, labels, 1, True).mean().item())


def test_the_worked_example_of_two_among_five() -> None:
    # One query with R = 3 whose nearest are: right, wrong, right, right. mAP@R = (1/1 + 2/3) / 3.
    distances = torch.tensor([[0.0, 1, 2, 3, 4]]).repeat(5, 1)
    labels = torch.tensor([0, 0, 1, 0, 0])
    assert average_precision_at_r(distances, labels)[0].item() == pytest.approx((1 + 2 / 3) / 3)


def test_all_at_one_distance() -> None:
    # Of four others, two are of the label: two draws miss both in 2/4 * 1/3 of the cases.
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert recall_per_query(torch.zeros(5, 5), labels, 2)[0].item() == pytest.approx(5 / 6)
    # Place 1: 2/4. Place 2: 2/4, and then the precision is (1 + 1/3) / 2.
    assert average_precision_at_r(torch.zeros(5, 5), labels)[0].item() == pytest.approx((0.5 + 0.5 * 2 / 3) / 2)


def test_the_figures_have_their_intervals_and_say_what_was_asked() -> None:
    embeddings, labels = problem(50, 5, seed=1)
    labels[:3] = torch.tensor([50, 51, 52])
    distances = squared_euclidean_distance(embeddings, embeddings)
    found = retrieval(distances, labels)
    assert (found.queries, found.images, found.labels) == (47, 50, 5)
    for k in KS:
        figure, shares = found.recall[k], recall_per_query(distances, labels, k)[3:]
        assert figure is not None
        assert figure.value == shares.mean().item()
        assert figure.interval == bootstrap_interval(shares.numpy())
    precisions = average_precision_at_r(distances, labels)[3:]
    assert found.map_at_r is not None and found.map_at_r.value == precisions.mean().item()


def test_where_there_is_too_little_there_are_no_figures() -> None:
    distances = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    few = retrieval(distances, torch.tensor([0, 0, 1]))
    assert [k for k, figure in few.recall.items() if figure is not None] == [1, 2]
    none = retrieval(distances, torch.arange(3))
    assert (none.queries, none.images, none.labels) == (0, 3, 0)
    assert none.map_at_r is None and set(none.recall.values()) == {None}


def test_what_does_not_fit_is_refused() -> None:
    distances, labels = torch.rand(4, 4), torch.tensor([0, 0, 1, 1])
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"1 <= k <= others; got k={k} with 3 others"):
            recall_per_query(distances, labels, k)
    with pytest.raises(ValueError, match=r"distances \[n,n\] and n labels; got \[4, 4\], 3"):
        recall_per_query(distances, labels[:3], 1)
    with pytest.raises(ValueError, match="got NaN"):
        average_precision_at_r(distances * torch.nan, labels)
