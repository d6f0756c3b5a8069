import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate

from tasks.explanation.feature_sfam import layer_features
from tasks.judging.attribution import PairBatch
from tasks.judging.grad_cam_family import ablation_cam, grad_cam_package, score_cam
from tasks.judging.layer_head import LayerHead, embeddings_of
from tasks.judging.registry import ATTRIBUTIONS
from tasks.judging.similarity_target import CosineTarget
from tasks.metric.model import EmbeddingModel, normalise

Array = NDArray[np.float64]
EDGE = 32


@pytest.fixture(scope="module")
def pairs(make_pairs: Callable[..., PairBatch]) -> PairBatch:
    """Of the model's cosines for them, the first is negative."""
    return make_pairs(3, EDGE, seed=3)


@contextlib.contextmanager
def outputs_of(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """What a module puts out goes through `change` first."""
    handle = module.register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def maps_and_gradients(model: EmbeddingModel, pairs: PairBatch, layer: str) -> list[tuple[Array, Array]]:
    """Of each query alone and the cosine: the layer's maps, [c, h, w], and the gradient with respect to them."""
    found = []
    for query, support in zip(pairs.query, embeddings_of(model, pairs.support), strict=True):
        seen: list[Tensor] = []

        def kept(output: Tensor, seen: list[Tensor] = seen) -> Tensor:
            seen.append(output)
            return output

        with outputs_of(getattr(model.trunk, layer), kept):
            cosine = cosine_similarity(model(normalise(query[None]))[0], support, dim=0)
        gradient = torch.autograd.grad(cosine, seen[0])[0]
        found.append((seen[0][0].detach().double().numpy(), gradient[0].double().numpy()))
    return found


def from_0_to_1(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min()).clamp(min=1e-30)


def shown(cam: Array, edge: int = EDGE) -> Tensor:
    """ReLU, at the pictures' size, from 0 to 1: [h, w] -> [edge, edge]."""
    maps = torch.from_numpy(np.maximum(cam, 0))[None, None]
    return from_0_to_1(interpolate(maps, (edge, edge), mode="bilinear", align_corners=False)[0, 0]).float()


def assert_shown(got: Tensor, cams: list[Array]) -> None:
    """All but their scale: the package's depends on how it adds 1e-7 to what it divides by."""
    expected = torch.stack([shown(cam, got.shape[-1]) for cam in cams])
    assert expected.amax(dim=(1, 2)).sum() > 1  # more than one map that is not 0 everywhere
    torch.testing.assert_close(torch.stack([from_0_to_1(own) for own in got]), expected, rtol=0, atol=2e-3)


def attribute(name: str, model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    return ATTRIBUTIONS[name].attribute(model, pairs, layer)


def test_grad_cam_of_the_dot_product_of_pooled_features(
    make_model: Callable[..., EmbeddingModel], make_pairs: Callable[..., PairBatch]
) -> None:
    # d(q . s) / dA_kij = s_k / (h w): the support's features weigh the query's maps.
    model, pairs = make_model(embedder=False), make_pairs(3, 64)
    query, support = (layer_features(model, part, "layer4").double().numpy() for part in (pairs.query, pairs.support))
    cams = [
        sum(s.mean() * a for s, a in zip(other, own, strict=True)) for own, other in zip(query, support, strict=True)
    ]
    assert_shown(attribute("grad-cam-dot", model, pairs, "layer4"), cams)


def test_grad_cam_of_the_cosine_of_pooled_features_sums_to_0_before_the_relu(
    make_model: Callable[..., EmbeddingModel], pairs: PairBatch
) -> None:
    # The cosine does not change with the length of q, so q . dcos/dq = 0; and q_k is the mean of map k.
    model = make_model(embedder=False)
    maps = layer_features(model, pairs.query, "layer4").requires_grad_()
    head = LayerHead(model, "layer4")
    cam = grad_cam_package().GradCAM(head, [head.maps])
    cam(maps, [CosineTarget(support) for support in embeddings_of(model, pairs.support)])
    weights = cam.activations_and_grads.gradients[0].mean(dim=(2, 3))
    weighted = torch.einsum("nk,nkhw->nhw", weights, maps.detach())
    assert (weighted.abs().sum(dim=(1, 2)) > 1e3 * weighted.sum(dim=(1, 2)).abs()).all()


@pytest.mark.parametrize("layer", ["layer2", "layer3"])
def test_grad_cam_of_the_cosine(model: EmbeddingModel, pairs: PairBatch, layer: str) -> None:
    cams = [np.einsum("k,khw->hw", g.mean(axis=(1, 2)), a) for a, g in maps_and_gradients(model, pairs, layer)]
    assert_shown(attribute("grad-cam-cosine", model, pairs, layer), cams)


def test_grad_cam_plus_plus_by_its_formula(model: EmbeddingModel, pairs: PairBatch) -> None:
    # Chattopadhyay et al. 2018, equation 19: alpha = g^2 / (2 g^2 + sum(A) g^3), weights sum alpha ReLU(g).
    cams = []
    for a, g in maps_and_gradients(model, pairs, "layer2"):
        alpha = np.divide(g**2, 2 * g**2 + a.sum(axis=(1, 2), keepdims=True) * g**3, out=np.zeros_like(g), where=g != 0)
        weights = (alpha * np.maximum(g, 0)).sum(axis=(1, 2))
        cams.append(np.einsum("k,khw->hw", weights, a))
    assert_shown(attribute("grad-cam-plus-plus", model, pairs, "layer2"), cams)


def test_layer_cam_by_its_formula(model: EmbeddingModel, pairs: PairBatch) -> None:
    cams = [(np.maximum(g, 0) * a).sum(axis=0) for a, g in maps_and_gradients(model, pairs, "layer2")]
    assert_shown(attribute("layer-cam", model, pairs, "layer2"), cams)


def test_eigen_cam_is_the_first_principal_component_of_either_sign(model: EmbeddingModel, pairs: PairBatch) -> None:
    got = attribute("eigen-cam", model, pairs, "layer2")
    for own, (a, _) in zip(got, maps_and_gradients(model, pairs, "layer2"), strict=True):
        points = a.reshape(len(a), -1).T
        _, axes = np.linalg.eigh(np.cov(points.T))
        component = ((points - points.mean(axis=0)) @ axes[:, -1]).reshape(a.shape[1:])
        assert min((from_0_to_1(own) - shown(sign * component)).abs().max() for sign in (1, -1)) < 2e-3


def test_score_cam_by_a_loop(model: EmbeddingModel, pairs: PairBatch) -> None:
    maps, supports = layer_features(model, pairs.query, "layer2"), embeddings_of(model, pairs.support)
    cams = []
    for picture, own, support in zip(normalise(pairs.query), maps, supports, strict=True):
        scores = []
        for channel in own:
            mask = interpolate(channel[None, None], (EDGE, EDGE), mode="bilinear", align_corners=True)[0, 0]
            mask = (mask - mask.min()) / (mask.max() - mask.min() + 1e-8)
            with torch.no_grad():
                scores.append(cosine_similarity(model((picture * mask)[None])[0], support, dim=0).item())
        weights = np.exp(scores) / np.exp(scores).sum()
        cams.append(np.einsum("k,khw->hw", weights, own.double().numpy()))
    assert_shown(score_cam(model, pairs, "layer2"), cams)


@pytest.mark.parametrize("layer", ["layer2", "layer3"])
def test_ablation_cam_by_a_loop(model: EmbeddingModel, pairs: PairBatch, layer: str) -> None:
    maps, supports = layer_features(model, pairs.query, layer), embeddings_of(model, pairs.support)
    module, cams, before = getattr(model.trunk, layer), [], []
    for picture, own, support in zip(normalise(pairs.query), maps, supports, strict=True):
        weights = []
        for k in [None, *range(len(own))]:

            def without(output: Tensor, k: int | None = k) -> Tensor:
                changed = output.clone()
                if k is not None:
                    changed[:, k] = 0
                return changed

            with outputs_of(module, without), torch.no_grad():
                weights.append(1 + cosine_similarity(model(picture[None])[0], support, dim=0).item())
        before.append(weights[0] - 1)
        lost = (weights[0] - np.array(weights[1:])) / weights[0]
        cams.append(np.einsum("k,khw->hw", lost, own.double().numpy()))
    assert_shown(ablation_cam(model, pairs, layer), cams)
    assert before[0] < 0 < before[1]  # a lost share of a negative cosine would have the other sign


def test_ablation_takes_a_layer_whose_values_are_negative_too(model: EmbeddingModel, pairs: PairBatch) -> None:
    # stem.1 is a BatchNorm. Against 1e7, as the package has it, no channel would differ from another.
    assert layer_features(model, pairs.query, "stem.1").min() < 0
    head = LayerHead(model, "stem.1")
    maps, supports = layer_features(model, pairs.query, "stem.1"), embeddings_of(model, pairs.support)
    cams = []
    for own, support in zip(maps, supports, strict=True):
        changed = own.repeat(len(own) + 1, 1, 1, 1)
        changed[torch.arange(1, len(own) + 1), torch.arange(len(own))] = 0
        with torch.no_grad():
            scores = 1 + cosine_similarity(head(changed), support[None])
        weights = ((scores[0] - scores[1:]) / scores[0]).double().numpy()
        cams.append(np.einsum("k,khw->hw", weights, own.double().numpy()))
    assert_shown(ablation_cam(model, pairs, "stem.1"), cams)


@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_the_package_used_on_the_whole_model_makes_the_same_maps(
    make_model: Callable[..., EmbeddingModel], make_pairs: Callable[..., PairBatch], layer: str
) -> None:
    own, pairs = make_model(), make_pairs(2, 64)
    targets = [CosineTarget(support) for support in embeddings_of(own, pairs.support)]
    cam = grad_cam_package().GradCAM(own, [getattr(own.trunk, layer)])
    expected = torch.from_numpy(cam(normalise(pairs.query), targets))
    got = attribute("grad-cam-cosine", own, pairs, layer)
    torch.testing.assert_close(torch.stack([from_0_to_1(one) for one in got]), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("method", [score_cam, ablation_cam])
def test_no_progress_bar_is_shown_and_others_may_have_theirs(
    model: EmbeddingModel,
    pairs: PairBatch,
    method: Callable[[EmbeddingModel, PairBatch, str], Tensor],
    capfd: pytest.CaptureFixture[str],
) -> None:
    package = grad_cam_package()
    before = package.score_cam.tqdm, package.ablation_cam.tqdm
    method(model, pairs, "layer3")
    assert capfd.readouterr() == ("", "")
    assert (package.score_cam.tqdm, package.ablation_cam.tqdm) == before
    assert hasattr(before[0], "trange")
