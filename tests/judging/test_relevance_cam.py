from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate

from tasks.explanation.feature_sfam import layer_features
from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import embeddings_of
from tasks.judging.relevance_cam import feature_relevance, linear_layers, relevance_cam
from tasks.metric.model import EmbeddingModel


@pytest.fixture(scope="module")
def pairs(make_pairs: Callable[..., PairBatch]) -> PairBatch:
    return make_pairs(3, 64)


@pytest.fixture(scope="module")
def exact(make_model: Callable[..., EmbeddingModel]) -> EmbeddingModel:
    return make_model().double()


@pytest.fixture(scope="module")
def pooled(model: EmbeddingModel, pairs: PairBatch) -> Tensor:
    """The queries' last maps, pooled; `exact` has the same weights."""
    return layer_features(model, pairs.query, "layer4").double().mean(dim=(2, 3))


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_batch_norm_is_folded_into_the_linear_layer_before_it(exact: EmbeddingModel) -> None:
    (first, first_bias), (last, last_bias) = linear_layers(exact.embedder)
    pooled = drawn(4, first.shape[1])
    hidden = (pooled @ first.T + first_bias).clamp(min=0)
    torch.testing.assert_close(hidden @ last.T + last_bias, exact.embedder(pooled))
    assert first_bias.abs().max() > 0.01


def test_relevance_is_conserved_but_for_the_last_bias(exact: EmbeddingModel, pooled: Tensor) -> None:
    for support in (drawn(3, 6), -exact.embedder(pooled).detach()):  # cosines of either sign, and -1
        with torch.no_grad():
            embedded = exact.embedder(pooled)
            bias = (exact.embedder[3].bias * support).sum(dim=1) / embedded.norm(dim=1) / support.norm(dim=1)
            expected = cosine_similarity(embedded, support) - bias
        got = feature_relevance(exact, pooled, support)
        assert bias.abs().max() > 1e-3
        torch.testing.assert_close(got.sum(dim=1), expected)


def test_relevance_by_a_loop_for_features_of_either_sign(exact: EmbeddingModel) -> None:
    pooled, support = drawn(2, 256) * 3, drawn(2, 6)
    layers = linear_layers(exact.embedder)
    first, first_bias, last, last_bias = (part.detach().numpy() for layer in layers for part in layer)
    got = feature_relevance(exact, pooled, support)
    for i, (q, e_s) in enumerate(zip(pooled.numpy(), support.numpy(), strict=True)):
        hidden = np.maximum(first @ q + first_bias, 0)
        e_q = last @ hidden + last_bias
        start = e_q * e_s / np.linalg.norm(e_q) / np.linalg.norm(e_s)
        relevance = np.zeros(256)
        for j in range(256):
            own = sum(hidden[j] * last[d, j] / e_q[d] * start[d] for d in range(6))
            raising = np.maximum(q * first[j], 0)
            relevance += raising / raising.sum() * own
        np.testing.assert_allclose(got[i], relevance, rtol=1e-6, atol=1e-9)


def test_a_unit_that_a_bias_alone_sets_to_work_gives_no_relevance(
    make_model: Callable[..., EmbeddingModel], pooled: Tensor
) -> None:
    own = make_model().double()
    assert pooled.min() >= 0
    found = []
    with torch.no_grad():
        own.embedder[0].weight[5] = -1  # none of the features raises the unit
        own.embedder[3].weight[:, 5] = 0  # what it puts out changes no embedding
        for bias in (1e3, -1e3):  # at work, and not
            own.embedder[1].bias[5] = bias
            assert (own.embedder[1](own.embedder[0](pooled))[:, 5].sign() == np.sign(bias)).all()
            found.append(feature_relevance(own, pooled, drawn(3, 6)))
    torch.testing.assert_close(found[0], found[1])


def test_captum_finds_the_same_relevance(exact: EmbeddingModel, pooled: Tensor) -> None:
    # The support's embedding closes the embedder to one output, the cosine, with the query's length held.
    (first, first_bias), (last, last_bias) = linear_layers(exact.embedder)
    with torch.no_grad():
        supports, lengths = drawn(3, 6), exact.embedder(pooled).norm(dim=1)
    got = feature_relevance(exact, pooled, supports)
    for i in range(3):
        direction = supports[i] / supports[i].norm() / lengths[i]
        closed = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)).double().requires_grad_(False)
        for layer, weight, bias in (
            (closed[0], first, first_bias),
            (closed[2], (direction @ last)[None], (direction @ last_bias)[None]),
        ):
            layer.weight.copy_(weight.detach())
            layer.bias.copy_(bias.detach())
        closed[0].rule, closed[2].rule = Alpha1_Beta0_Rule(set_bias_to_zero=True), EpsilonRule(1e-12)
        assert pooled[i].min() >= 0  # captum's rule is for inputs that are not negative
        torch.testing.assert_close(
            got[i], LRP(closed).attribute(pooled[i : i + 1].clone().requires_grad_())[0], rtol=1e-5, atol=1e-9
        )


def test_without_an_embedder_the_products_of_the_features_are_the_relevance(
    make_model: Callable[..., EmbeddingModel],
) -> None:
    q, s = drawn(2, 5), drawn(2, 5) + 1
    got = feature_relevance(make_model(embedder=False), q, s)
    for i in range(2):
        np.testing.assert_allclose(got[i], q[i] * s[i] / np.linalg.norm(q[i]) / np.linalg.norm(s[i]))


def test_the_last_maps_are_weighed_whichever_layer_is_asked_for(model: EmbeddingModel, pairs: PairBatch) -> None:
    maps = layer_features(model, pairs.query, "layer4")
    relevance = feature_relevance(model, maps.mean(dim=(2, 3)), embeddings_of(model, pairs.support))
    for layer in ("layer3", "layer4"):
        got = relevance_cam(model, pairs, layer)
        for i in range(3):
            cam = torch.stack([relevance[i, k] / 16 * maps[i, k] for k in range(256)]).sum(dim=0)
            expected = interpolate(cam[None, None], (64, 64), mode="bilinear", align_corners=False)[0, 0]
            torch.testing.assert_close(got[i], expected, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="no stage 'layer9'"):
        relevance_cam(model, pairs, "layer9")


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.BatchNorm1d(256)])
def test_an_embedder_of_other_layers_is_refused(
    make_model: Callable[..., EmbeddingModel], pairs: PairBatch, layer: nn.Module
) -> None:
    other = make_model()
    other.embedder = nn.Sequential(layer, nn.Linear(256, 6)).eval()
    with pytest.raises(
        ValueError, match=rf"Linear, each perhaps with BatchNorm1d, and ReLU; got a {type(layer).__name__}"
    ):
        relevance_cam(other, pairs, "layer4")
