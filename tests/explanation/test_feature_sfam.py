import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.explanation.feature_sfam import (
    FeatureMetric,
    conserving_map,
    contribution_importance_score,
    explain_features,
    layer_features,
    similar_feature_activation_map,
)
from tasks.metric.distances import snr_distance
from tasks.metric.model import EmbeddingModel, ModelSpec, build_model

numbers = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-20, 20), min_size=n, max_size=n) for _ in range(2)))
)


def row(values: list[int]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def scores_of(pair: tuple[list[int], list[int]], metric: FeatureMetric) -> list[float]:
    return contribution_importance_score(row(pair[0]), row(pair[1]), metric)[0].tolist()


@given(numbers)
def test_the_cosine_scores_sum_to_the_cosine(pair: tuple[list[int], list[int]]) -> None:
    q, s = (np.array(values, dtype=float) for values in pair)
    norms = np.sqrt((q**2).sum() * (s**2).sum())
    scores = scores_of(pair, "cosine")
    assert scores == pytest.approx([a * b / norms if norms else 0 for a, b in zip(q, s, strict=True)], abs=1e-12)
    assert sum(scores) == pytest.approx(q @ s / norms if norms else 0, abs=1e-12)


@given(numbers)
def test_the_euclidean_scores_lie_in_0_1_and_fall_with_the_difference(pair: tuple[list[int], list[int]]) -> None:
    scores = scores_of(pair, "euclidean")
    difference = [(a - b) ** 2 for a, b in zip(*pair, strict=True)]
    assert all(0 < score <= 1 for score in scores)
    for i, j in np.ndindex(len(scores), len(scores)):
        if difference[i] < difference[j]:
            assert scores[i] > scores[j]
        if difference[i] == 0:
            assert scores[i] == 1


@given(numbers, st.integers(-5, 5))
def test_the_snr_scores_see_no_constant_shift_and_weigh_the_snr_distance(
    pair: tuple[list[int], list[int]], shift: int
) -> None:
    q, s = (np.array(values, dtype=float) for values in pair)
    scores = scores_of(pair, "snr")
    assert scores == pytest.approx(scores_of((pair[0], [value + shift for value in pair[1]]), "snr"))
    difference = q - s
    terms = (difference - difference.mean()) ** 2 / len(q)
    if terms.max() < 1e-20:
        assert scores == pytest.approx([1.0] * len(q))
    elif q.var() > 0:
        parts = terms / q.var()
        assert parts.sum() == pytest.approx(np.var(q - s) / np.var(q))  # the SNR distance of the features as they are
        assert scores == pytest.approx(np.exp(-parts / parts.mean()).tolist())


def test_the_snr_scores_exchange_nothing_but_the_signal() -> None:
    # Both directions divide by another variance, which cancels: the scores are the same.
    pair = ([1, 2, 9], [4, 4, 1])
    assert scores_of(pair, "snr") == pytest.approx(scores_of((pair[1], pair[0]), "snr"))
    unit = [torch.nn.functional.normalize(row(values), dim=1) for values in pair]
    assert snr_distance(unit[0], unit[1]) != snr_distance(unit[1], unit[0])


def test_the_euclidean_scores_by_hand() -> None:
    # Differences 0, 1 and 5 squared: mean (0 + 1 + 25) / 3.
    assert scores_of(([3, 4, 0], [3, 5, 5]), "euclidean") == pytest.approx([1, np.exp(-3 / 26), np.exp(-75 / 26)])
    assert scores_of(([3, 4], [3, 4]), "euclidean") == [1, 1]


def test_scores_and_maps_of_what_does_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"query and support \[n,c\]; got \[1, 2\] and \[1, 3\]"):
        contribution_importance_score(torch.ones(1, 2), torch.ones(1, 3), "cosine")
    with pytest.raises(ValueError, match=r"got \[2\]"):
        contribution_importance_score(torch.ones(2), torch.ones(2), "cosine")
    with pytest.raises(ValueError, match="unknown metric 'dot': one of cosine, euclidean, snr"):
        contribution_importance_score(torch.ones(1, 2), torch.ones(1, 2), "dot")  # type: ignore[arg-type]
    for function in (similar_feature_activation_map, conserving_map):
        with pytest.raises(ValueError, match=r"features \[n,c,h,w\], weights \[n,c\]; got \[1, 4, 3, 5\], \[1, 3\]"):
            function(torch.ones(1, 4, 3, 5), torch.ones(1, 3))


def test_the_map_is_the_weighted_sum_of_the_channels_where_it_is_positive() -> None:
    maps, scores = np.random.default_rng(0).normal(size=(2, 4, 3, 5)), np.array([[0.5, -1.0, 2.0, 0.1], [1, 2, 3, 4]])
    got = similar_feature_activation_map(torch.from_numpy(maps), torch.from_numpy(scores))
    for i, y, x in np.ndindex(2, 3, 5):
        assert got[i, y, x].item() == pytest.approx(max(0, sum(scores[i, k] * maps[i, k, y, x] for k in range(4))))


@given(st.integers(0, 10_000))
def test_the_conserving_map_s_mean_is_the_cosine_of_the_pooled_features(seed: int) -> None:
    a, b = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 3, 5, 4, 6)))
    q, s = a.mean(dim=(2, 3)), b.mean(dim=(2, 3))
    cosine = torch.nn.functional.cosine_similarity(q, s)
    torch.testing.assert_close(conserving_map(a, s).mean(dim=(1, 2)), cosine)
    torch.testing.assert_close(conserving_map(b, q).mean(dim=(1, 2)), cosine)


def test_without_features_the_conserving_map_is_0() -> None:
    assert conserving_map(torch.zeros(1, 2, 3, 3), torch.ones(1, 2)).count_nonzero() == 0


def made_model() -> tuple[EmbeddingModel, Tensor, Tensor]:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (2, 2, 3, 8, 8), dtype=np.uint8)
    pictures = torch.from_numpy(coarse.repeat(8, axis=3).repeat(8, axis=4))
    return build_model(ModelSpec(trunk="small", embedding=6, seed=1)), pictures[0], pictures[1]


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "snr"])
def test_a_pair_s_maps_come_from_the_layer_s_features(metric: FeatureMetric) -> None:
    model, a, b = made_model()
    got = explain_features(model, a, b, metric), explain_features(model, b, a, metric)
    features = [layer_features(model, part, "layer3") for part in (a, b)]  # 64 px: the deepest with 6 x 6 pixels
    assert got[0].shape == (2, 8, 8)
    pooled = [part.mean(dim=(2, 3)) for part in features]
    for own, other, maps in ((0, 1, got[0]), (1, 0, got[1])):
        weights = contribution_importance_score(pooled[own], pooled[other], metric)
        expected = np.maximum(np.einsum("nk,nkhw->nhw", weights.numpy(), features[own].numpy()), 0)
        np.testing.assert_allclose(maps.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert not got[0].requires_grad


def test_wrong_pairs_and_layers_are_named() -> None:
    model, a, b = made_model()
    with pytest.raises(ValueError, match="pairs need pictures of one shape"):
        explain_features(model, a, b[:1], "cosine")
    with pytest.raises(ValueError, match=r"no stage 'layer9': one of stem\.0, .*layer4"):
        layer_features(model, a, "layer9")
