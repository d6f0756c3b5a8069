import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tasks.explanation.feature_sfam import layer_features
from tasks.judging.layer_head import LayerHead, at_picture_size, embeddings_of, last_layer
from tasks.metric.model import EmbeddingModel, ModelSpec, build_model, normalise


def pictures(n: int, edge: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, 3, edge, edge), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_maps_are_those_that_the_layer_makes(model: EmbeddingModel) -> None:
    seen: list[Tensor] = []
    handle = model.trunk.layer2.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        embeddings = model(normalise(pictures(2)))
    handle.remove()
    torch.testing.assert_close(layer_features(model, pictures(2), "layer2"), seen[0])
    torch.testing.assert_close(embeddings_of(model, pictures(2)), embeddings)
    assert not layer_features(model, pictures(2), "layer2").requires_grad


@pytest.mark.parametrize("unit", [1.0, 16.0])
@pytest.mark.parametrize("layer", ["stem.1", "layer2", "layer4"])
def test_the_head_goes_on_from_the_maps(model: EmbeddingModel, layer: str, unit: float) -> None:
    # Behind stem.1 comes a ReLU; in torchvision's VGGs it writes in place.
    head = LayerHead(model, layer, unit)
    maps = layer_features(model, pictures(2), layer)
    torch.testing.assert_close(head(maps / unit), embeddings_of(model, pictures(2)))
    torch.testing.assert_close(layer_features(model, pictures(2), layer), maps)


def test_a_stage_that_writes_in_place_does_not_change_the_maps() -> None:
    vgg = build_model(ModelSpec(trunk="vgg11_bn", embedding=4))
    maps = layer_features(vgg, pictures(1), "features.26")
    kept = maps.clone()
    assert kept.min() < 0  # a BatchNorm's, with a ReLU behind it
    torch.testing.assert_close(LayerHead(vgg, "features.26")(maps), embeddings_of(vgg, pictures(1)))
    assert torch.equal(maps, kept)


def test_the_head_is_a_copy_that_does_not_learn(model: EmbeddingModel) -> None:
    head = LayerHead(model, "layer4")
    assert not any(parameter.requires_grad for parameter in head.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not {parameter.data_ptr() for parameter in head.parameters()} & {
        parameter.data_ptr() for parameter in model.parameters()
    }


def test_maps_made_where_gradients_are_off_can_have_gradients_later(model: EmbeddingModel) -> None:
    with torch.inference_mode():
        maps = layer_features(model, pictures(1), "layer3")
    assert not maps.is_inference()
    maps.requires_grad_()
    assert torch.autograd.grad(LayerHead(model, "layer3")(maps).sum(), maps)[0].abs().max() > 0


def test_the_last_layer_is_the_one_whose_maps_are_pooled(model: EmbeddingModel) -> None:
    assert last_layer(model) == "layer4"


def test_maps_at_the_pictures_size_are_interpolated_and_keep_their_mean() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32))
    got = at_picture_size(maps, torch.empty(2, 3, 12, 18))
    assert (got.shape, got.dtype) == ((2, 12, 18), torch.float32)
    for own, expected in zip(got, maps, strict=True):
        resized = Image.fromarray(expected.numpy()).resize((18, 12), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(own, np.asarray(resized), atol=1e-5)
        assert own.mean().item() == pytest.approx(expected.mean().item(), abs=1e-6)


def test_what_is_not_a_number_becomes_0() -> None:
    maps = torch.tensor([[[torch.nan, torch.inf], [-torch.inf, 2.0]]], dtype=torch.float64)
    got = at_picture_size(maps, torch.empty(1, 3, 2, 2))
    assert (got.tolist(), got.dtype) == ([[[0, 0], [0, 2]]], torch.float32)
