import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.metric import evaluation, precision
from tasks.metric.distances import OwnDistance
from tasks.metric.evaluation import (
    KS,
    QUANTILES,
    Precision,
    distance_quantiles,
    evaluate,
    percentile,
    precision_by_chance,
)


def embeddings(n: int, d: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def pair_distance(a: np.ndarray, b: np.ndarray, name: str) -> float:
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    if name == "snr":
        return float(np.var(a - b) / np.var(a))
    if name == "bounded":
        return float(np.var(a - b) / 2 / (np.var(a) + np.var(b)))
    return float(((a - b) ** 2).sum()) if name == "squared_euclidean" else float(1 - a @ b)


@pytest.mark.parametrize("at_once", [1, 70, 1000])  # distances: one row, three rows, all rows of 20
@pytest.mark.parametrize("name", ["squared_euclidean", "snr", "cosine"])
def test_every_image_is_queried_against_all_others(
    name: OwnDistance, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "DISTANCES_AT_ONCE", at_once)
    vectors, labels = embeddings(20), np.random.default_rng(1).integers(0, 3, 20)
    got = evaluate(vectors, torch.from_numpy(labels), name)
    assert (got.n, set(got.at)) == (20, {1, 2, 8})
    for k in KS:
        shares = []
        for i in range(20):
            near = sorted((pair_distance(vectors[i].numpy(), vectors[j].numpy(), name), j) for j in range(20) if j != i)
            shares.append(np.mean([labels[j] == labels[i] for _, j in near[:k]]))
        assert got.at[k] == pytest.approx(np.mean(shares))
        interval = got.intervals[k]
        assert interval is not None
        assert interval[0] <= np.mean(shares) <= interval[1]
        # Within twice of the normal distribution's interval for the mean of these shares.
        assert interval[1] - interval[0] == pytest.approx(2 * 1.96 * np.std(shares) / np.sqrt(20), rel=0.5)


def test_without_intervals_the_figures_are_the_same() -> None:
    labels = torch.arange(12) % 2
    whole, quick = (evaluate(embeddings(12), labels, "cosine", intervals=flag) for flag in (True, False))
    assert whole.at == quick.at
    assert quick.intervals == {1: None, 2: None, 8: None}


@pytest.mark.parametrize(
    ("n", "known"), [(0, []), (1, []), (2, [1]), (3, [1, 2]), (8, [1, 2]), (9, [1, 2, 8]), (10, [1, 2, 8])]
)
def test_p_at_k_is_none_where_there_are_k_images_or_fewer(n: int, known: list[int]) -> None:
    got = evaluate(embeddings(n), torch.zeros(n, dtype=torch.long), "cosine")
    assert got.n == n
    assert {k: value for k, value in got.at.items() if value is not None} == dict.fromkeys(known, 1.0)
    assert [k for k, interval in got.intervals.items() if interval is not None] == known


@pytest.mark.parametrize("labels", ["aaabbbbbbc", "ab", "aaaa"])
def test_chance_is_what_embeddings_that_are_all_alike_reach(labels: str) -> None:
    numbers = torch.tensor([ord(label) for label in labels])
    alike = evaluate(torch.ones(len(labels), 4), numbers, "squared_euclidean").at  # ties count by expectation
    assert [alike[1]] == pytest.approx([precision_by_chance(labels)])
    assert precision_by_chance(labels[:1]) is None


def test_figures_have_the_names_that_tracking_shows() -> None:
    figures = Precision(at={1: 0.5, 2: 0.25, 8: None}, intervals=dict.fromkeys(KS), n=8).figures()
    assert figures == {"precision_at_1": 0.5, "precision_at_2": 0.25, "precision_at_8": None}


def test_a_record_comes_back_from_json() -> None:
    for n in (1, 5, 12):
        record = evaluate(embeddings(n), torch.arange(n) % 2, "cosine")
        assert Precision.from_dict(json.loads(json.dumps(asdict(record)))) == record
        assert Precision.from_dict(asdict(record)) == record
    assert Precision.none(3) == Precision(at=dict.fromkeys(KS), intervals=dict.fromkeys(KS), n=3)


def test_quantiles_are_those_of_all_pairs() -> None:
    vectors = embeddings(9)
    pairs = [pair_distance(vectors[i].numpy(), vectors[j].numpy(), "bounded") for i in range(9) for j in range(i)]
    quantiles = distance_quantiles(vectors)
    assert (quantiles.dtype, quantiles.shape) == (np.float32, (QUANTILES,))
    assert quantiles[[0, 500, 1000]] == pytest.approx([min(pairs), np.median(pairs), max(pairs)], rel=1e-6)
    np.testing.assert_allclose(quantiles, np.percentile(pairs, np.arange(1001) / 10), rtol=1e-6)


def test_of_many_images_evenly_spaced_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "IMAGES_FOR_QUANTILES", 5)
    vectors = embeddings(9)
    np.testing.assert_array_equal(distance_quantiles(vectors), distance_quantiles(vectors[::2]))


@pytest.mark.parametrize("n", [0, 1])
def test_there_are_no_quantiles_without_a_pair(n: int) -> None:
    assert distance_quantiles(embeddings(n)).shape == (0,)
    assert percentile(0.3, distance_quantiles(embeddings(n))) is None


def test_the_percentile_is_the_share_of_pairs_below() -> None:
    quantiles = np.linspace(0, 1, QUANTILES, dtype=np.float32)  # distances spread evenly over 0..1
    for distance in (0.0, 0.1234, 0.5, 0.9, 1.0):
        assert percentile(distance, quantiles) == pytest.approx(100 * distance, abs=0.1)
    assert percentile(-0.1, quantiles) == 0
    assert percentile(1.1, quantiles) == 100


def test_a_distance_that_many_pairs_have_is_in_their_middle() -> None:
    quantiles = np.sort(np.repeat(np.float32([0.0, 0.25, 1.0]), [400, 400, 200]))
    assert percentile(0.0, quantiles) == pytest.approx(20)
    assert percentile(0.25, quantiles) == pytest.approx(60)
    assert percentile(1.0, quantiles) == pytest.approx(90)


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_distance_has_no_smaller_percentile(values: list[float], a: float, b: float) -> None:
    quantiles = np.sort(np.float32(values))
    low, high = (percentile(distance, quantiles) for distance in sorted((a, b)))
    assert low is not None and high is not None
    assert 0 <= low <= high <= 100


def test_the_mean_is_over_the_figures_that_there_are() -> None:
    assert replace(Precision.none(3), at={1: 0.5, 2: 0.7, 8: None}).mean == pytest.approx(0.6)
    assert Precision.none(0).mean is None
