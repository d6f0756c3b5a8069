from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.explanation.feature_sfam import layer_features
from tasks.judging.attribution import PairBatch
from tasks.judging.floors import activation_sum, centred_gaussian, random_map
from tasks.metric.model import EmbeddingModel

Pairs = Callable[..., PairBatch]


def test_the_sum_of_the_layer_s_channels(model: EmbeddingModel, make_pairs: Pairs) -> None:
    pairs = make_pairs(2, 32)
    got = activation_sum(model, pairs, "layer2")
    maps = layer_features(model, pairs.query, "layer2").double().numpy()
    for own, channels in zip(got, maps, strict=True):
        assert own.mean().item() == pytest.approx(sum(channel.mean() for channel in channels), rel=1e-5)
        assert own[0, 0].item() == pytest.approx(sum(channel[0, 0] for channel in channels), rel=1e-5)


def test_a_gaussian_of_a_quarter_of_the_edge_about_the_centre(model: EmbeddingModel) -> None:
    pictures = torch.zeros(2, 3, 9, 17, dtype=torch.uint8)
    pairs = PairBatch(query=pictures, support=pictures, label_maps=pictures[:, 0])
    got = centred_gaussian(model, pairs, "layer2")
    for y in range(9):
        for x in range(17):
            exponent = ((y - 4) / (9 / 4)) ** 2 + ((x - 8) / (17 / 4)) ** 2
            assert got[1, y, x].item() == pytest.approx(np.exp(-exponent / 2), rel=1e-5)
    assert torch.equal(got[0], got[1])


def test_noise_comes_from_the_seed_and_the_pair(model: EmbeddingModel, make_pairs: Pairs) -> None:
    pairs = make_pairs(3, 32)
    got = random_map(model, pairs, "layer2")
    assert torch.equal(random_map(model, pairs, "layer2"), got)
    other = random_map(model, replace(pairs, seed=pairs.seed + 1), "layer2")
    roles = random_map(model, replace(pairs, query=pairs.support, support=pairs.query), "layer2")
    for one in (other, roles, got.roll(1, dims=0)):
        correlations = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(got, one, strict=True)]
        assert max(np.abs(correlations)) < 0.6


def test_noise_is_uniform_and_as_coarse_as_the_layer(model: EmbeddingModel, make_pairs: Pairs) -> None:
    pairs = make_pairs(1, 32)
    fine, coarse = (random_map(model, pairs, layer)[0] for layer in ("layer1", "layer4"))  # 16 x 16 and 2 x 2
    assert 0 <= fine.min() < 0.1
    assert 0.9 < fine.max() <= 1
    # Between the centres of a 2 x 2 map, values change linearly.
    torch.testing.assert_close(coarse.diff(dim=0)[8:23].diff(dim=0), torch.zeros(14, 32), rtol=0, atol=1e-5)
