import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tasks.judging.avsl_attribution import avsl_attribution, node_shares
from tasks.metric.avsl_model import AVSLModel, build_avsl
from tasks.metric.avsl_similarity import selected_links
from tasks.metric.model import ModelSpec, normalise


def pictures(n: int, seed: int) -> Tensor:
    coarse = torch.randint(0, 256, (n, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)


@pytest.fixture(scope="module")
def model() -> AVSLModel:
    """With links of its own, nodes that are believed to very different degrees, and biases."""
    made = build_avsl(ModelSpec(trunk="small", embedding=5, seed=3), labels=2)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        made.similarity.update_links(made(normalise(pictures(8, 7)))[2])
        for parameter in (made.similarity.alpha, made.similarity.beta):
            parameter.add_(torch.randn(parameter.shape, generator=generator) / 10)
        for embedder in made.embedders:
            embedder.project.bias.normal_(generator=generator)
    return made


@torch.no_grad()
def parts(model: AVSLModel, a: Tensor, b: Tensor) -> tuple[tuple[Tensor, Tensor, list[Tensor]], ...]:
    return tuple(model(normalise(part)) for part in (a, b))


def test_the_distance_is_the_sum_of_the_nodes_shares_of_their_own_differences(model: AVSLModel) -> None:
    (own, certain, _), (other, certain_other, _) = parts(model, pictures(4, 1), pictures(4, 2))
    shares = node_shares(model.similarity, certain, certain_other)
    with torch.no_grad():
        distances = model.similarity(own, certain, other, certain_other)[0].diagonal()
    torch.testing.assert_close((shares * (own - other).square()).sum(dim=(1, 2)), distances)
    assert (shares >= 0).all()
    assert (shares.sum(dim=2) > 0.2).all()  # no level is without a say
    # Any differences give the same shares: they depend on certainties and links alone.
    with torch.no_grad():
        distances = model.similarity(own, certain, -other, certain_other)[0].diagonal()
    torch.testing.assert_close((shares * (own + other).square()).sum(dim=(1, 2)), distances)


def test_shares_node_by_node(model: AVSLModel) -> None:
    (_, certain, _), (_, certain_other, _) = parts(model, pictures(2, 1), pictures(2, 2))
    links, similarity = selected_links(model.similarity.links).tolist(), model.similarity
    for pair in range(2):
        believed = [
            [
                1
                / (
                    1
                    + math.exp(
                        -10
                        * (
                            certain[pair, level, i].item()
                            * certain_other[pair, level, i].item()
                            * similarity.alpha[level - 1, i].item()
                            + similarity.beta[level - 1, i].item()
                        )
                    )
                )
                for i in range(5)
            ]
            for level in (1, 2)
        ]
        top = believed[1]
        handed = [sum(links[1][i][j] * (1 - top[j]) for j in range(5)) for i in range(5)]
        middle = [handed[i] * believed[0][i] for i in range(5)]
        lowest = [sum(links[0][i][j] * (1 - believed[0][j]) * handed[j] for j in range(5)) for i in range(5)]
        got = node_shares(similarity, certain, certain_other)[pair]
        torch.testing.assert_close(got, torch.tensor([lowest, middle, top]))


def test_the_map_s_mean_is_what_the_distance_lacks(model: AVSLModel) -> None:
    a, b = pictures(4, 1), pictures(4, 2)
    (own, certain, _), (other, certain_other, _) = parts(model, a, b)
    with torch.no_grad():
        distances = model.similarity(own, certain, other, certain_other)[0].diagonal()
    apart = (node_shares(model.similarity, certain, certain_other) * (own.square() + other.square())).sum(dim=(1, 2))
    got = avsl_attribution(model, a, b)
    assert (got.shape, got.dtype) == ((4, 64, 64), torch.float32)
    torch.testing.assert_close(got.mean(dim=(1, 2)), (apart - distances) / 2, rtol=1e-4, atol=1e-6)


def test_the_map_by_a_loop_over_nodes(model: AVSLModel) -> None:
    a, b = pictures(2, 1), pictures(2, 2)
    (own, certain, maps), (other, certain_other, _) = parts(model, a, b)
    shares, got = node_shares(model.similarity, certain, certain_other), avsl_attribution(model, a, b)
    for pair in range(2):
        expected = torch.zeros(64, 64)
        for level in range(3):
            for i in range(5):
                part = maps[level][pair, i]
                # A map's mean is |e| e_i, so this node's part of the map has the mean share e_i e_s,i.
                weight = shares[pair, level, i] * own[pair, level, i] * other[pair, level, i] / part.mean()
                expected += weight * interpolate(part[None, None], (64, 64), mode="bilinear", align_corners=False)[0, 0]
        torch.testing.assert_close(got[pair], expected, rtol=1e-3, atol=1e-3)


def test_the_same_picture_is_similar_as_far_as_its_nodes_count(model: AVSLModel) -> None:
    a = pictures(2, 1)
    (own, certain, _), _ = parts(model, a, a)
    expected = (node_shares(model.similarity, certain, certain) * own.square()).sum(dim=(1, 2))
    torch.testing.assert_close(avsl_attribution(model, a, a).mean(dim=(1, 2)), expected, rtol=1e-4, atol=1e-6)


def test_pairs_do_not_see_each_other_and_the_model_stays(model: AVSLModel) -> None:
    a, b = pictures(3, 1), pictures(3, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    together = avsl_attribution(model, a, b)
    for i in range(3):
        alone = avsl_attribution(model, a[i : i + 1], b[i : i + 1])[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_pictures_of_different_shapes_are_refused(model: AVSLModel) -> None:
    with pytest.raises(ValueError, match=r"pictures of one shape; got \[1, 3, 64, 64\] and \[2, 3, 64, 64\]"):
        avsl_attribution(model, pictures(1, 1), pictures(2, 1))
