import copy
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tasks.explanation.sfam import (
    Similarity,
    explain_pairs,
    explained_layer,
    similarity_of,
    to_picture_size,
)
from tasks.metric.model import EmbeddingModel, ModelSpec, build_model, normalise
from tasks.metric.trunks import flattened_stages


def photos(n: int, edge: int, seed: int = 0) -> Tensor:
    """Coarse random pictures: of pixel noise, untrained networks make nearly the same features."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (n, 3, 4, 4), dtype=np.uint8)
    return torch.from_numpy(np.repeat(np.repeat(coarse, edge // 4, axis=2), edge // 4, axis=3))


def made_model(trunk: str = "small", embedder: str = "own", edge: int = 32) -> EmbeddingModel:
    """A model whose BatchNorm layers have seen pictures, with its own embedder, a biased one or none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = build_model(ModelSpec(trunk=trunk, embedding=6, seed=3))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = None
                if module.affine:
                    nn.init.normal_(module.bias, std=0.1)
        with torch.no_grad():
            model.train()(normalise(photos(16, edge, seed=9)))
        if embedder == "none":
            model.embedder = nn.Identity()  # type: ignore[assignment]
        elif embedder == "biased":
            channels = model.trunk(torch.zeros(2, 3, edge, edge)).shape[1]
            model.embedder = nn.Sequential(nn.Linear(channels, 20), nn.ReLU(), nn.Linear(20, 6))
            for layer in (model.embedder[0], model.embedder[2]):
                nn.init.normal_(layer.bias, std=0.3)
    return model.eval()


@torch.no_grad()
def layer_maps(model: EmbeddingModel, pictures: Tensor, layer: str) -> Tensor:
    x = normalise(pictures)
    for name, stage in flattened_stages(model.trunk):
        x = stage(x)
        if name == layer:
            return x.clone()
    raise AssertionError(layer)


@torch.no_grad()
def behind(model: EmbeddingModel, layer: str, maps: Tensor) -> Tensor:
    """From a layer's maps to embeddings, in double precision."""
    names = [name for name, _ in flattened_stages(model.trunk)]
    x = maps.clone()
    for _, stage in flattened_stages(model.trunk)[names.index(layer) + 1 :]:
        x = stage(x)
    embedded: Tensor = model.embedder(x.mean(dim=(2, 3)))
    return embedded


def scores_by_differences(
    model: EmbeddingModel, layer: str, maps: Tensor, other: Tensor, channels: list[int]
) -> Tensor:
    """CIS of some channels of one picture: how the product of the embeddings grows with the channel's strength.

    d/dt of e(A with channel k times 1 + t) . e_s at 0 is `sum_ij A_kij g_kij`; `other` is the fixed e_s.
    """
    step, scores = 1e-7, []
    for k in channels:
        values = []
        for sign in (1, -1):
            changed = maps.clone()
            changed[k] *= 1 + sign * step
            values.append((behind(model, layer, changed[None])[0] @ other).item())
        scores.append((values[0] - values[1]) / (2 * step))
    norms = behind(model, layer, maps[None])[0].norm() * other.norm()
    return torch.tensor(scores, dtype=torch.float64) / norms


@pytest.mark.parametrize("embedder", ["own", "biased", "none"])
@pytest.mark.parametrize(
    ("trunk", "layer"),
    [
        ("small", "layer4"),
        ("small", "layer2"),
        ("resnet18", "layer4.1"),
        ("resnet18", "layer2.0"),
        ("densenet121", "features.transition2"),
        ("densenet121", "relu"),
    ],
)
def test_scores_are_the_derivatives_that_finite_differences_find(trunk: str, layer: str, embedder: str) -> None:
    model = made_model(trunk, embedder)
    query, support = photos(2, 32, seed=1), photos(2, 32, seed=2)
    got = explain_pairs(model, query, support, layer)
    exact = copy.deepcopy(model).double()
    for pair in range(2):
        maps = [layer_maps(model, part[pair : pair + 1], layer)[0].double() for part in (query, support)]
        ends = [behind(exact, layer, part[None])[0] for part in maps]
        scores = (got.query_scores[pair], got.support_scores[pair])
        for own, other, found in ((0, 1, scores[0]), (1, 0, scores[1])):
            channels = maps[own].abs().sum(dim=(1, 2)).argsort(descending=True)[:4].tolist()
            expected = scores_by_differences(exact, layer, maps[own], ends[other], channels)
            torch.testing.assert_close(found[channels].double(), expected, rtol=5e-3, atol=3e-5)
    assert got.layer == layer


def test_a_vgg_whose_layers_write_in_place_is_explained_too() -> None:
    model = made_model("vgg11_bn", "none")
    query, support = photos(1, 32, seed=1), photos(1, 32, seed=2)
    names = [name for name, _ in flattened_stages(model.trunk)]
    before_relu = "features.26"  # a BatchNorm; the ReLU after it writes into its result
    assert names.index(before_relu) == 26
    got = explain_pairs(model, query, support, before_relu)
    exact = copy.deepcopy(model).double()
    maps = [layer_maps(model, part, before_relu)[0].double() for part in (query, support)]
    other = behind(exact, before_relu, maps[1][None])[0]
    channels = maps[0].abs().sum(dim=(1, 2)).argsort(descending=True)[:4].tolist()
    expected = scores_by_differences(exact, before_relu, maps[0], other, channels)
    torch.testing.assert_close(got.query_scores[0, channels].double(), expected, rtol=5e-3, atol=3e-5)


def test_without_an_embedder_the_last_layer_s_scores_are_the_cosine_scores() -> None:
    model = made_model(embedder="none")
    query, support = photos(3, 32, seed=1), photos(3, 32, seed=2)
    got = explain_pairs(model, query, support, "layer4")
    q, s = (layer_maps(model, part, "layer4").mean(dim=(2, 3)) for part in (query, support))
    for i in range(3):
        expected = q[i] * s[i] / (q[i].norm() * s[i].norm())
        torch.testing.assert_close(got.query_scores[i], expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(got.support_scores[i], expected, rtol=1e-4, atol=1e-6)
        assert got.similarity[i].item() == pytest.approx(expected.sum().item(), rel=1e-5)
    assert got.bias_share.abs().max() < 1e-5


@pytest.mark.parametrize("embedder", ["own", "biased"])
def test_without_biases_in_the_embedder_none_of_the_cosine_comes_from_them(embedder: str) -> None:
    model = made_model(embedder=embedder)
    query, support = photos(3, 32, seed=1), photos(3, 32, seed=2)
    with_biases = explain_pairs(model, query, support, "layer4").bias_share
    assert with_biases.abs().min() > 1e-3
    with torch.no_grad():
        for layer in model.embedder:
            for name in ("bias", "running_mean"):
                if getattr(layer, name, None) is not None:
                    getattr(layer, name).zero_()
    got = explain_pairs(model, query, support, "layer4")
    assert got.bias_share.abs().max() < 1e-4
    torch.testing.assert_close(got.query_scores.sum(dim=1), got.similarity, rtol=1e-4, atol=1e-5)


def test_the_bias_share_is_what_the_embedder_s_offset_carries() -> None:
    # Where a ReLU network is J q + c, the share of the biases is c . e_s / (|e_q| |e_s|) / cos.
    model = made_model(embedder="biased")
    query, support = photos(2, 32, seed=1), photos(2, 32, seed=2)
    got = explain_pairs(model, query, support, "layer4")
    w1, b1, w2, b2 = (parameter.detach().double().numpy() for parameter in model.embedder.parameters())
    q, s = (layer_maps(model, part, "layer4").double().mean(dim=(2, 3)).numpy() for part in (query, support))
    for i in range(2):
        hidden = [(w1 @ part[i] + b1) for part in (q, s)]
        e_q, e_s = (w2 @ np.maximum(part, 0) + b2 for part in hidden)
        cosine = e_q @ e_s / np.linalg.norm(e_q) / np.linalg.norm(e_s)
        assert got.similarity[i].item() == pytest.approx(cosine, rel=1e-4)
        for column, (own, other) in enumerate((((hidden[0], e_q), e_s), ((hidden[1], e_s), e_q))):
            offset = w2 @ (b1 * (own[0] > 0)) + b2
            expected = offset @ other / np.linalg.norm(own[1]) / np.linalg.norm(other) / cosine
            assert got.bias_share[i, column].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_scores_and_biases_sum_to_the_cosine_at_every_layer() -> None:
    model = made_model("resnet18", "biased")
    query, support = photos(2, 32, seed=1), photos(2, 32, seed=2)
    for layer in ("layer4.1", "layer3.0", "layer1.1", "maxpool"):
        got = explain_pairs(model, query, support, layer)
        for part, share in zip((got.query_scores, got.support_scores), got.bias_share.T, strict=True):
            torch.testing.assert_close(part.sum(dim=1) + share * got.similarity, got.similarity, rtol=1e-4, atol=1e-5)


def test_maps_are_the_weighted_sums_of_the_layer_s_channels() -> None:
    model = made_model()
    query, support = photos(2, 32, seed=1), photos(2, 32, seed=2)
    got = explain_pairs(model, query, support, "layer2")
    for pictures, scores, maps in (
        (query, got.query_scores, got.query),
        (support, got.support_scores, got.support),
    ):
        features = layer_maps(model, pictures, "layer2")
        assert maps.shape == (2, 8, 8)
        for i in range(2):
            expected = np.maximum(sum(scores[i, k].item() * features[i, k].numpy() for k in range(64)), 0)
            np.testing.assert_allclose(maps[i], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "snr"])
def test_a_conserving_map_s_mean_is_the_sum_of_the_scores(similarity: Similarity) -> None:
    model = made_model("resnet18", "biased")
    query, support = photos(3, 32, seed=1), photos(3, 32, seed=2)
    for layer in ("layer2.1", "layer2.0"):
        got = explain_pairs(model, query, support, layer, similarity)
        for column, (maps, scores) in enumerate(
            ((got.query_conserving, got.query_scores), (got.support_conserving, got.support_scores))
        ):
            assert maps.min() < 0 < maps.max()
            torch.testing.assert_close(maps.mean(dim=(1, 2)), scores.sum(dim=1), rtol=1e-4, atol=1e-6)
            explained = (1 - got.bias_share[:, column]) * got.similarity
            torch.testing.assert_close(maps.mean(dim=(1, 2)), explained, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("embedder", ["own", "none"])
def test_the_snr_form_explains_one_minus_twice_the_bounded_distance(embedder: str) -> None:
    model = made_model(embedder=embedder)
    query, support = photos(3, 32, seed=1), photos(3, 32, seed=2)
    got = explain_pairs(model, query, support, "layer3", "snr")
    for i, (a, b) in enumerate(zip(*got.embeddings.double().numpy(), strict=True)):
        x, y = a / np.linalg.norm(a), b / np.linalg.norm(b)
        distance = np.var(x - y) / (2 * (np.var(x) + np.var(y)))
        assert got.similarity[i].item() == pytest.approx(1 - 2 * distance, rel=1e-4, abs=1e-5)
    # The scores are derivatives of the numerator 2 cov(x, y), with the lengths and the variances held fixed.
    exact = copy.deepcopy(model).double()
    features = [layer_maps(model, part[:1], "layer3")[0].double() for part in (query, support)]
    e_q, e_s = (behind(exact, "layer3", part[None])[0] for part in features)
    x, y = e_q / e_q.norm(), e_s / e_s.norm()
    form = 2 * (y - y.mean()) / len(y) / e_q.norm() / (x.var(correction=0) + y.var(correction=0))
    channels = features[0].abs().sum(dim=(1, 2)).argsort(descending=True)[:4].tolist()
    for k in channels:
        changed = [features[0].clone(), features[0].clone()]
        for part, factor in zip(changed, (1 + 1e-6, 1 - 1e-6), strict=True):
            part[k] *= factor
        up, down = (behind(exact, "layer3", part[None])[0] @ form for part in changed)
        assert got.query_scores[0, k].item() == pytest.approx(((up - down) / 2e-6).item(), rel=5e-3, abs=3e-5)


def test_an_embedding_without_length_or_spread_has_no_scores() -> None:
    model = made_model(embedder="none")
    black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    for similarity in ("cosine", "snr"):
        got = explain_pairs(model, black, photos(1, 32), "layer4", similarity)  # type: ignore[arg-type]
        assert got.query.count_nonzero() == got.query_conserving.count_nonzero() == 0
        assert got.similarity.item() == 0
        assert got.bias_share.isnan().all()


def test_the_similarity_follows_the_node_s_own_distance() -> None:
    assert [similarity_of(own) for own in ("squared_euclidean", "cosine", "snr")] == ["cosine", "cosine", "snr"]
    with pytest.raises(ValueError, match="unknown similarity 'dot': one of cosine, snr"):
        explain_pairs(made_model(), photos(1, 32), photos(1, 32), "layer4", "dot")  # type: ignore[arg-type]


def test_the_roles_change_with_the_order() -> None:
    model = made_model()
    a, b = photos(2, 32, seed=1), photos(2, 32, seed=2)
    one, other = explain_pairs(model, a, b), explain_pairs(model, b, a)
    torch.testing.assert_close(one.query, other.support)
    torch.testing.assert_close(one.query_scores, other.support_scores)
    torch.testing.assert_close(one.bias_share, other.bias_share.flip(1))
    torch.testing.assert_close(one.similarity, other.similarity)


def test_pairs_of_a_batch_do_not_see_each_other() -> None:
    model = made_model()
    a, b = photos(3, 32, seed=1), photos(3, 32, seed=2)
    together = explain_pairs(model, a, b)
    for i in range(3):
        alone = explain_pairs(model, a[i : i + 1], b[i : i + 1])
        torch.testing.assert_close(together.query[i], alone.query[0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(together.support_scores[i], alone.support_scores[0], rtol=1e-3, atol=1e-6)


def test_explaining_leaves_the_model_as_it_was() -> None:
    model = made_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    got = explain_pairs(model, photos(1, 32), photos(1, 32, seed=1))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(
        getattr(got, name).requires_grad
        for name in ("query", "support", "query_conserving", "query_scores", "similarity")
    )
    with torch.no_grad():
        expected = torch.stack([model(normalise(photos(1, 32, seed=seed))) for seed in (0, 1)])
    torch.testing.assert_close(got.embeddings, expected, rtol=1e-4, atol=1e-5)


def test_a_caller_without_gradients_may_ask_too() -> None:
    model, a, b = made_model(), photos(1, 32), photos(1, 32, seed=1)
    expected = explain_pairs(model, a, b).query
    with torch.no_grad():
        torch.testing.assert_close(explain_pairs(model, a, b).query, expected)


def colours(*values: tuple[int, int, int]) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 8, 8).contiguous()


def colour_model() -> EmbeddingModel:
    """Features are the colours above the mean, the embedding is their average: all numbers follow by hand."""
    trunk = nn.Sequential(OrderedDict(colours=nn.ReLU()))
    model = EmbeddingModel(trunk, channels=3, embedding=3)
    model.embedder = nn.Identity()  # type: ignore[assignment]
    # explain_pairs asks a parameter where the model lies.
    model.register_parameter("anchor", nn.Parameter(torch.zeros(1)))
    return model.eval()


def test_colours_by_hand() -> None:
    red, blue, magenta, black = (255, 0, 0), (0, 0, 255), (255, 0, 255), (0, 0, 0)
    got = explain_pairs(colour_model(), colours(red, red, red, black), colours(red, magenta, blue, red))
    r, b = (1 - 0.485) / 0.229, (1 - 0.406) / 0.225
    cosine = r / np.hypot(r, b)
    assert got.similarity.tolist() == pytest.approx([1, cosine, 0, 0], abs=1e-6)
    torch.testing.assert_close(
        got.query_scores, torch.tensor([[1, 0, 0], [cosine, 0, 0], [0, 0, 0], [0, 0, 0]]).float()
    )
    assert got.query[:, 0, 0].tolist() == pytest.approx([r, cosine * r, 0, 0], rel=1e-5)
    assert got.bias_share[:2].abs().max() < 1e-6
    assert got.bias_share[2:].isnan().all()  # no cosine, no share of it
    assert torch.stack([got.query, got.support]).isfinite().all()


@pytest.mark.parametrize(
    ("trunk", "edge", "layer"),
    [
        ("resnet18", 224, "layer4.1"),  # 7 x 7
        ("resnet18", 96, "layer3.1"),  # 6 x 6; layer4 has 3 x 3
        ("resnet18", 64, "layer2.1"),  # 8 x 8
        ("small", 96, "layer4"),
        ("small", 48, "layer3"),
        ("small", 32, "layer2"),
        ("squeezenet1_1", 96, "features.8"),  # 11 x 11 before the last pooling
        ("small", 8, "stem.0"),  # none is large enough
    ],
)
def test_the_explained_layer_is_the_deepest_with_6_x_6_pixels(trunk: str, edge: int, layer: str) -> None:
    model = build_model(ModelSpec(trunk=trunk, embedding=4))
    x, sizes = torch.zeros(1, 3, edge, edge), {}
    with torch.no_grad():
        for name, stage in flattened_stages(model.trunk):
            x = stage(x)
            sizes[name] = min(x.shape[2:])
    large = [name for name, size in sizes.items() if size >= 6]
    assert explained_layer(model, edge) == (large[-1] if large else next(iter(sizes)))
    if not trunk.startswith("squeeze"):
        assert explained_layer(model, edge) == layer


def test_without_a_layer_the_explained_one_is_taken() -> None:
    model = made_model()
    got = explain_pairs(model, photos(1, 48), photos(1, 48, seed=1))
    assert got.layer == explained_layer(model, 48) == "layer3"
    assert got.query.shape == (1, 6, 6)


def test_wrong_pairs_and_layers_are_named() -> None:
    model = made_model()
    with pytest.raises(ValueError, match=r"pictures of one shape; got \[1, 3, 32, 32\] and \[2, 3, 32, 32\]"):
        explain_pairs(model, photos(1, 32), photos(2, 32))
    with pytest.raises(ValueError, match=r"the trunk has no stage 'layer9': one of stem\.0, .*layer4"):
        explain_pairs(model, photos(1, 32), photos(1, 32), "layer9")


def test_maps_are_shown_at_the_picture_s_size_from_0_to_1() -> None:
    maps = torch.from_numpy(np.random.default_rng(0).random((3, 6, 6)).astype(np.float32)) * 7 + 2
    got = to_picture_size(maps, 48)
    assert got.shape == (3, 48, 48)
    for i in range(3):
        resized = np.asarray(Image.fromarray(maps[i].numpy()).resize((48, 48), Image.Resampling.BILINEAR))
        expected = (resized - resized.min()) / (resized.max() - resized.min())
        np.testing.assert_allclose(got[i], expected, atol=1e-4)
        assert (got[i].min().item(), got[i].max().item()) == (0, 1)
    assert to_picture_size(torch.full((1, 4, 4), 3.0), 8).abs().max() == 0
