from collections.abc import Callable

import numpy as np
import pytest
import torch

from tasks.explanation.feature_sfam import layer_features
from tasks.judging.attribution import PairBatch
from tasks.judging.class_activation import class_activation_map
from tasks.metric.model import EmbeddingModel


@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_the_map_s_mean_is_the_cosine_of_the_pooled_features(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch], layer: str
) -> None:
    pairs = make_pairs(3, 64)
    q, s = (layer_features(model, part, layer).numpy().mean(axis=(2, 3)) for part in (pairs.query, pairs.support))
    for own, a, b in zip(class_activation_map(model, pairs, layer), q, s, strict=True):
        assert own.mean().item() == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-5)


def test_the_support_s_features_weigh_the_query_s_maps(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch]
) -> None:
    pairs = make_pairs(2, 32)
    got = class_activation_map(model, pairs, "layer1")
    maps, support = (layer_features(model, part, "layer1").numpy() for part in (pairs.query, pairs.support))
    for i in range(2):
        q, s = maps[i].mean(axis=(1, 2)), support[i].mean(axis=(1, 2))
        norms = np.linalg.norm(q) * np.linalg.norm(s)
        coarse = sum(s[k] / norms * maps[i, k] for k in range(len(s)))
        assert coarse.shape == (16, 16)
        # Half a pixel beside a centre of the coarse map lie a quarter of it and three quarters of its neighbour.
        assert got[i, 0, 0].item() == pytest.approx(coarse[0, 0], rel=1e-4)
        assert got[i, 0, 7].item() == pytest.approx(0.75 * coarse[0, 3] + 0.25 * coarse[0, 4], rel=1e-4)
        assert got[i, 8, 31].item() == pytest.approx(0.25 * coarse[3, 15] + 0.75 * coarse[4, 15], rel=1e-4)


def test_without_features_the_map_is_0(
    make_model: Callable[..., EmbeddingModel], make_pairs: Callable[..., PairBatch]
) -> None:
    dark = make_model()
    with torch.no_grad():
        for parameter in dark.trunk.parameters():
            parameter.zero_()
    assert class_activation_map(dark, make_pairs(1, 32), "layer4").abs().max() == 0
