import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.transforms.functional import normalize

from tasks.errors import InputError
from tasks.metric.model import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    EmbeddingModel,
    ModelSpec,
    build_model,
    embed,
    load_model,
    normalise,
)

SPEC = ModelSpec(trunk="small", embedding=8, seed=1)


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)


def test_normalise_is_torchvision_s() -> None:
    images = pictures(3)
    expected = normalize(images.float() / 255, list(IMAGENET_MEAN), list(IMAGENET_STD))
    for given in (images, images.float()):
        got = normalise(given)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
        assert got.dtype == torch.float32
        assert got.is_contiguous(memory_format=torch.channels_last)
    assert (IMAGENET_MEAN, IMAGENET_STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def by_numpy(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    """A layer of the embedder in evaluation mode, by its definition, in double precision."""
    values = {name: tensor.detach().double().numpy() for name, tensor in layer.state_dict().items()}
    if isinstance(layer, nn.Linear):
        return x @ values["weight"].T + values.get("bias", 0)
    if isinstance(layer, nn.BatchNorm1d):
        scaled = (x - values["running_mean"]) / np.sqrt(values["running_var"] + layer.eps)
        return scaled * values.get("weight", 1) + values.get("bias", 0)
    assert isinstance(layer, nn.ReLU)
    return np.maximum(x, 0)


@torch.no_grad()
def test_the_embedder_is_a_perceptron_with_one_hidden_layer_over_the_maps_averages() -> None:
    model = build_model(SPEC)
    maps = torch.randn(6, 256, 2, 5, generator=torch.Generator().manual_seed(0))
    model.train().embed_features(maps)  # statistics of BatchNorm, if there is any, that are not 0 and 1
    model.eval()
    x = np.zeros((6, 256))
    for n, c in np.ndindex(6, 256):
        x[n, c] = sum(maps[n, c, i, j].item() for i in range(2) for j in range(5)) / 10
    for layer in model.embedder:
        x = by_numpy(layer, x)
    np.testing.assert_allclose(model.embed_features(maps), x, rtol=1e-4, atol=1e-5)
    kinds = [type(layer) for layer in model.embedder if not isinstance(layer, nn.BatchNorm1d)]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear]
    # BatchNorm has a shift of its own, so the layer before it has none.
    assert sum(parameter.numel() for parameter in model.embedder.parameters()) == 256 * 256 + 2 * 256 + 256 * 8 + 8


@torch.no_grad()
def test_a_model_is_trunk_then_embedder() -> None:
    model, x = build_model(SPEC), normalise(pictures(2))
    assert model(x).shape == (2, 8)
    torch.testing.assert_close(model(x), model.embed_features(model.trunk(x)))


def test_one_seed_one_model_and_torch_s_own_state_stays() -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first, second = build_model(SPEC).state_dict(), build_model(SPEC).state_dict()
    assert torch.equal(torch.rand(3), expected)
    other = build_model(ModelSpec(trunk="small", embedding=8, seed=2)).state_dict()
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())
    assert not torch.equal(first["embedder.0.weight"], other["embedder.0.weight"])
    assert not torch.equal(first["trunk.stem.0.weight"], other["trunk.stem.0.weight"])


def test_a_built_model_is_in_evaluation_mode_and_channels_last() -> None:
    model = build_model(SPEC)
    assert not any(module.training for module in model.modules())
    assert model.trunk[1].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(int(value) == 0 for name, value in model.state_dict().items() if name.endswith("num_batches_tracked"))


@pytest.mark.parametrize(("trunk", "channels"), [("small", 256), ("resnet18", 512), ("squeezenet1_1", 512)])
def test_the_embedder_fits_the_trunk(trunk: str, channels: int) -> None:
    model = build_model(ModelSpec(trunk=trunk, embedding=5))
    layers = [layer for layer in model.embedder if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(channels, channels), (5, channels)]


def test_load_model_takes_the_weights_and_fetches_none(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = build_model(ModelSpec(trunk="squeezenet1_1", embedding=4, seed=7)).state_dict()
    get_model = torchvision.models.get_model

    def offline(name: str, weights: str | None = None) -> nn.Module:
        assert weights is None, "published weights were asked for"
        model: nn.Module = get_model(name, weights=None)
        return model

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    spec = ModelSpec(trunk="squeezenet1_1", weights="DEFAULT", embedding=4, seed=1)
    loaded = load_model(spec, trained)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in trained.items())
    assert not loaded.training


@torch.no_grad()
def test_a_loaded_model_computes_as_the_trained_one_did(monkeypatch: pytest.MonkeyPatch) -> None:
    # Published weights of GoogLeNet bring a change of the input's scale with them, which no state dict holds.
    get_model = torchvision.models.get_model

    def published(name: str, weights: str | None = None, **options: bool) -> nn.Module:
        given = {"aux_logits": False, "init_weights": False, "transform_input": True} if weights else options
        model: nn.Module = get_model(name, weights=None, **given)
        return model

    monkeypatch.setattr(torchvision.models, "get_model", published)
    spec = ModelSpec(trunk="googlenet", weights="DEFAULT", embedding=4)
    trained, x = build_model(spec), normalise(pictures(4))
    trained.train()(x)
    trained.eval()
    torch.testing.assert_close(load_model(spec, trained.state_dict())(x), trained(x))


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(InputError, match="unknown trunk 'resnet19'"):
        build_model(ModelSpec(trunk="resnet19"))


@pytest.mark.parametrize("training", [True, False])
def test_embed_puts_batches_through_in_evaluation_mode_and_restores_the_mode(training: bool) -> None:
    model = build_model(SPEC).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = pictures(5)
    got = embed(model, iter([images[:2], images[2:4], images[4:]]), "cpu")
    assert model.training == training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with torch.no_grad():
        expected = torch.cat([build_model(SPEC)(normalise(image[None])) for image in images])
    assert (got.shape, got.dtype, got.device.type) == ((5, 8), torch.float32, "cpu")
    # bfloat16, where the processor has it, keeps 8 bits.
    torch.testing.assert_close(got, expected, rtol=0, atol=0.03 * expected.abs().max().item())


def test_pooling_and_embedder_stay_in_float32_under_autocast() -> None:
    model = EmbeddingModel(nn.Sequential(nn.Identity()), channels=6, embedding=4).eval()
    maps = torch.randn(2, 6, 3, 3)
    with torch.no_grad():
        expected = model.embed_features(maps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = model.embed_features(maps)
            half = model.embed_features(maps.bfloat16())
    assert got.dtype == half.dtype == torch.float32
    assert torch.equal(got, expected)
