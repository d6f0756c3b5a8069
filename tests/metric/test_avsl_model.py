import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, normalize

from tasks.errors import InputError
from tasks.metric.avsl_model import (
    AVSLModel,
    LevelEmbedder,
    avsl_trunks,
    build_avsl,
    certainties,
    level_features,
    trunk_levels,
)
from tasks.metric.model import ModelSpec, build_model
from tasks.metric.trunks import build_trunk, trunk_names

SPEC = ModelSpec(trunk="small", embedding=5, seed=3)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def embedder() -> LevelEmbedder:
    made = LevelEmbedder(3, 4)
    with torch.no_grad():
        made.project.weight.copy_(drawn(4, 3, 1, 1, seed=1))
        assert made.project.bias is not None
        made.project.bias.copy_(drawn(4, seed=2))
    return made


@pytest.fixture(scope="module")
def model() -> AVSLModel:
    return build_avsl(SPEC, labels=3)


def naive_map(made: LevelEmbedder, features: Tensor) -> Tensor:
    """Activation maps of one image, [c, h, w] -> [d, h, w], position by position."""
    weight, bias = made.project.weight[:, :, 0, 0].detach(), made.project.bias
    assert bias is not None
    channels, height, width = features.shape
    result = torch.zeros(len(weight), height, width)
    for out in range(len(weight)):
        for y in range(height):
            for x in range(width):
                value = bias[out].item()
                for c in range(channels):
                    here, highest = features[c, y, x].item(), features[c].max().item()
                    value += weight[out, c].item() * (here + height * width * highest * (here == highest))
                result[out, y, x] = value
    return result


def naive_embedding(made: LevelEmbedder, features: Tensor) -> Tensor:
    """Of one image, [c, h, w] -> [d]."""
    weight, bias = made.project.weight[:, :, 0, 0].detach(), made.project.bias
    assert bias is not None
    pooled = [channel.flatten().tolist() for channel in features]
    pooled = [sum(values) / len(values) + max(values) for values in pooled]
    values = [sum(w * p for w, p in zip(row.tolist(), pooled, strict=True)) for row in weight]
    values = [value + own.item() for value, own in zip(values, bias, strict=True)]
    length = math.sqrt(sum(value**2 for value in values))
    return torch.tensor([value / length for value in values])


def test_an_embedding_is_the_projection_of_average_plus_maximum() -> None:
    made, features = embedder(), drawn(2, 3, 3, 2)
    got = made(features)
    for image in range(2):
        torch.testing.assert_close(got[image], naive_embedding(made, features[image]))


def test_an_activation_map_at_each_position() -> None:
    made, features = embedder(), drawn(2, 3, 3, 2)
    got = made.activation_maps(features)
    for image in range(2):
        torch.testing.assert_close(got[image], naive_map(made, features[image]))


def test_the_mean_of_an_activation_map_is_the_embedding_also_where_maxima_tie() -> None:
    made = embedder()
    features = drawn(4, 3, 4, 4).relu().round()  # zeros and equal peaks, as after a ReLU
    assert ((features == features.amax(dim=(2, 3), keepdim=True)).sum(dim=(2, 3)) > 1).any()
    mean = made.activation_maps(features).mean(dim=(2, 3))
    torch.testing.assert_close(normalize(mean, dim=1), made(features))


def test_no_gradient_goes_through_maps_certainties_and_links(model: AVSLModel) -> None:
    made, features = embedder(), drawn(2, 3, 4, 4).requires_grad_()
    assert not made.activation_maps(features).requires_grad
    assert made(features).requires_grad
    embeddings, certain, maps = model(drawn(2, 3, 32, 32))
    assert embeddings.requires_grad
    assert not certain.requires_grad
    assert not any(level.requires_grad for level in maps)


def test_a_certainty_is_the_deviation_of_a_map_s_shares() -> None:
    maps = drawn(2, 3, 2, 4)
    got = certainties(maps)
    for image in range(2):
        for node in range(3):
            values = maps[image, node].flatten().tolist()
            above = [value - min(values) for value in values]
            shares = [value / sum(above) for value in above]
            variance = sum((share - 1 / 8) ** 2 for share in shares) / 8
            assert got[image, node].item() == pytest.approx(math.sqrt(variance), rel=1e-5)


def test_certainties_of_a_peak_a_plain_and_a_single_position() -> None:
    peak = torch.zeros(1, 2, 5, 5)
    peak[0, 0, 2, 2] = 7
    assert certainties(peak).tolist() == [[pytest.approx(math.sqrt(1 / 25 * 24 / 25)), 0.0]]
    assert certainties(drawn(1, 2, 1, 1)).tolist() == [[0.0, 0.0]]


def test_levels_are_the_trunk_s_last_three_resolutions(model: AVSLModel) -> None:
    pictures = drawn(2, 3, 64, 64)
    first, second, last = level_features(model.trunk, model.levels, pictures)
    assert [tuple(maps.shape) for maps in (first, second, last)] == [(2, 64, 16, 16), (2, 128, 8, 8), (2, 256, 4, 4)]
    torch.testing.assert_close(last, model.trunk(pictures))
    torch.testing.assert_close(second, model.trunk[:4](pictures))


def test_a_forward_pass_by_its_parts(model: AVSLModel) -> None:
    pictures = drawn(2, 3, 32, 32)
    embeddings, certain, maps = model(pictures)
    assert embeddings.shape == certain.shape == (2, 3, 5)
    for level, features in enumerate(level_features(model.trunk, model.levels, pictures)):
        own = model.embedders[level]
        assert isinstance(own, LevelEmbedder)
        pooled = features.mean(dim=(2, 3), keepdim=True) + features.amax(dim=(2, 3), keepdim=True)
        expected = normalize(conv2d(pooled, own.project.weight, own.project.bias).flatten(1), dim=1)
        torch.testing.assert_close(embeddings[:, level], expected)
        torch.testing.assert_close(maps[level], own.activation_maps(features))
        torch.testing.assert_close(certain[:, level], certainties(maps[level]))


def test_all_but_the_trunk_is_in_float32_under_autocast(model: AVSLModel) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings, certain, maps = model(drawn(2, 3, 32, 32))
    assert {tensor.dtype for tensor in (embeddings, certain, *maps)} == {torch.float32}
    torch.testing.assert_close(embeddings.norm(dim=2), torch.ones(2, 3))


def test_proxies_are_normalised_and_as_certain_as_the_batch(model: AVSLModel) -> None:
    embeddings, certain = normalize(drawn(4, 3, 5), dim=2), drawn(4, 3, 5, seed=1).abs()
    final, levels = model.to_proxies(embeddings, certain)
    assert final.shape == (4, 3)
    for label in range(3):
        proxy = model.proxies[label] / model.proxies[label].norm(dim=1, keepdim=True)
        level_means = torch.tensor([certain[:, level].mean().item() for level in range(3)])
        own = level_means[:, None].repeat(1, 5)
        expected, _ = model.similarity(embeddings, certain, proxy[None], own[None])
        torch.testing.assert_close(final[:, label], expected[:, 0])
        for level in range(3):
            torch.testing.assert_close(
                levels[level][:, label], (embeddings[:, level] - proxy[level]).square().sum(dim=1)
            )


def test_the_same_spec_gives_the_same_weights_and_a_node_s_trunk(model: AVSLModel) -> None:
    torch.manual_seed(99)
    again, node = build_avsl(SPEC, labels=3), build_model(SPEC)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, node.trunk.state_dict()[name]) for name, tensor in model.trunk.state_dict().items())
    other = build_avsl(ModelSpec(trunk="small", embedding=5, seed=4), labels=3)
    assert not torch.equal(other.proxies, model.proxies)
    assert not model.training


def test_another_trunk_is_refused_and_the_fitting_ones_are_named() -> None:
    with pytest.raises(
        InputError, match=r"in stages; got trunk 'vgg11': one of small, efficientnet_lite0, resnet12, resnet101, "
    ):
        build_avsl(ModelSpec(trunk="vgg11"), labels=2)
    with pytest.raises(InputError, match="got trunk 'nonsense'"):
        trunk_levels("nonsense")


def test_the_trunks_that_fit_have_the_stages() -> None:
    assert {"small", "resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d"} <= set(avsl_trunks())
    assert set(avsl_trunks()) < set(trunk_names())
    with torch.device("meta"):
        for name in avsl_trunks():
            pictures, last_of = torch.empty(1, 3, 256, 256), {}
            for stage, module in build_trunk(name).eval().named_children():
                pictures = module(pictures)
                last_of[pictures.shape[-1]] = stage
            assert tuple(last_of.values())[-3:] == trunk_levels(name), name
