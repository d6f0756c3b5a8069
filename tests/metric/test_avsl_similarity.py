import math

import pytest
import torch
from torch import Tensor

from tasks.metric import avsl_similarity as module
from tasks.metric.avsl_similarity import (
    Similarity,
    distance_rows,
    node_differences,
    reliabilities,
    selected_links,
    spatial_links,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def naive_link(lower: Tensor, upper: Tensor, i: int, j: int) -> float:
    """Mean cosine of map i and map j, positions one by one; the finer grid is twice the coarser one."""
    cosines = []
    for finer, coarser in zip(lower[:, i], upper[:, j], strict=True):
        height, width = coarser.shape
        dot = own = other = 0.0
        for y in range(height):
            for x in range(width):
                a = sum(finer[2 * y + dy, 2 * x + dx].item() for dy in (0, 1) for dx in (0, 1)) / 4
                b = coarser[y, x].item()
                dot, own, other = dot + a * b, own + a * a, other + b * b
        cosines.append(dot / math.sqrt(own * other))
    return sum(cosines) / len(cosines)


def test_a_link_is_the_mean_cosine_of_two_maps_over_positions() -> None:
    lower, upper = drawn(3, 2, 4, 6), drawn(3, 4, 2, 3, seed=1)
    got = spatial_links(lower, upper)
    assert got.shape == (2, 4)
    for i in range(2):
        for j in range(4):
            assert got[i, j].item() == pytest.approx(naive_link(lower, upper, i, j), abs=1e-6)


def test_links_of_maps_that_are_alike_opposite_and_empty() -> None:
    peak = torch.tensor([[[[0.0, 1.0], [2.0, 0.0]]]])
    upper = torch.cat([3 * peak, -peak, torch.zeros_like(peak)], dim=1)
    torch.testing.assert_close(spatial_links(peak, upper), torch.tensor([[1.0, -1.0, 0.0]]))


def test_links_move_half_way_to_each_batch_after_the_first() -> None:
    similarity, batches = Similarity(3, 2), [[drawn(2, 2, e, e, seed=n + e) for e in (4, 2, 2)] for n in range(3)]
    expected = None
    for maps in batches:
        similarity.update_links(maps)
        new = torch.stack([spatial_links(maps[0], maps[1]), spatial_links(maps[1], maps[2])])
        expected = new if expected is None else (expected + new) / 2
        torch.testing.assert_close(similarity.links, expected)
    assert "links" in similarity.state_dict()
    assert {name for name, _ in similarity.named_parameters()} == {"alpha", "beta"}


def naive_selected(links: Tensor, strongest: int) -> Tensor:
    result = torch.zeros_like(links)
    for column in range(links.shape[1]):
        ranked = sorted(range(links.shape[0]), key=lambda row: -links[row, column].item())[:strongest]
        positive = [row for row in ranked if links[row, column] > 0]
        total = sum(links[row, column].item() for row in positive)
        for row in positive:
            result[row, column] = links[row, column] / total
    return result


@pytest.mark.parametrize("strongest", [1, 2, 128])
def test_the_strongest_positive_links_of_a_column_are_kept_and_scaled(
    strongest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STRONGEST_LINKS", strongest)
    links = drawn(5, 5)
    links[:, 3] = -links[:, 3].abs()  # a node that nothing below agrees with
    got = selected_links(links)
    torch.testing.assert_close(got, naive_selected(links, strongest))
    torch.testing.assert_close(got.sum(dim=0), torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0]))
    assert (got > 0).sum(dim=0).max() <= strongest


def test_128_links_of_a_wide_level_are_kept() -> None:
    assert ((selected_links(drawn(200, 200).abs() + 0.1) > 0).sum(dim=0) == 128).all()


def test_differences_and_reliabilities_of_each_pair_and_node() -> None:
    a, b, certain_a, certain_b = drawn(3, 2), drawn(4, 2, seed=1), drawn(3, 2).abs(), drawn(4, 2, seed=2).abs()
    alpha, beta = torch.tensor([1.5, -0.5]), torch.tensor([0.1, 0.2])
    differences, believed = node_differences(a, b), reliabilities(certain_a, certain_b, alpha, beta)
    for i in range(3):
        for j in range(4):
            for k in range(2):
                assert differences[i, j, k].item() == pytest.approx(abs(a[i, k] - b[j, k]).item() ** 2)
                inner = 10 * (certain_a[i, k] * certain_b[j, k] * alpha[k] + beta[k]).item()
                assert believed[i, j, k].item() == pytest.approx(1 / (1 + math.exp(-inner)), rel=1e-5)


def given(levels: int = 3, dimensions: int = 4) -> Similarity:
    """A similarity whose alpha, beta and links are not those of the start."""
    similarity = Similarity(levels, dimensions)
    with torch.no_grad():
        similarity.alpha.copy_(drawn(levels - 1, dimensions, seed=7))
        similarity.beta.copy_(drawn(levels - 1, dimensions, seed=8) / 10)
        similarity.links.copy_(drawn(levels - 1, dimensions, dimensions, seed=9))
    return similarity


def images(n: int, seed: int, levels: int = 3, dimensions: int = 4) -> tuple[Tensor, Tensor]:
    embeddings = torch.nn.functional.normalize(drawn(n, levels, dimensions, seed=seed), dim=2)
    return embeddings, drawn(n, levels, dimensions, seed=seed + 50).abs() / 2


def naive_distance(
    similarity: Similarity, a: Tensor, certain_a: Tensor, b: Tensor, certain_b: Tensor
) -> tuple[float, list[float]]:
    """D of one pair, each [l, d], and the levels' distances: node by node."""
    levels, dimensions = a.shape
    plain = [sum((a[level, k] - b[level, k]).item() ** 2 for k in range(dimensions)) for level in range(levels)]
    inferred = [(a[0, k] - b[0, k]).item() ** 2 for k in range(dimensions)]
    for level in range(1, levels):
        links = naive_selected(similarity.links[level - 1], 128)
        above = []
        for j in range(dimensions):
            certain = certain_a[level, j].item() * certain_b[level, j].item()
            alpha, beta = similarity.alpha[level - 1, j].item(), similarity.beta[level - 1, j].item()
            believed = 1 / (1 + math.exp(-10 * (certain * alpha + beta)))
            carried = sum(inferred[i] * links[i, j].item() for i in range(dimensions))
            above.append(believed * (a[level, j] - b[level, j]).item() ** 2 + (1 - believed) * carried)
        inferred = above
    return sum(inferred), plain


def test_the_distance_of_each_pair() -> None:
    similarity, (a, certain_a), (b, certain_b) = given(), images(3, 1), images(2, 2)
    final, levels = similarity(a, certain_a, b, certain_b)
    assert len(levels) == 3
    for i in range(3):
        for j in range(2):
            expected, plain = naive_distance(similarity, a[i], certain_a[i], b[j], certain_b[j])
            assert final[i, j].item() == pytest.approx(expected, rel=1e-5)
            assert [level[i, j].item() for level in levels] == pytest.approx(plain, rel=1e-5)


def test_the_distance_is_symmetric_and_0_for_one_image() -> None:
    similarity, (a, certain_a) = given(), images(5, 3)
    final, _ = similarity(a, certain_a, a, certain_a)
    torch.testing.assert_close(final, final.T)
    assert (final.diagonal() == 0).all()
    assert (final + torch.eye(5) > 0).all()


def test_a_sure_node_keeps_its_own_difference_and_a_vague_one_takes_those_below() -> None:
    similarity, (a, certain_a), (b, certain_b) = given(2), images(3, 4, 2), images(2, 5, 2)
    with torch.no_grad():
        similarity.alpha.zero_()
        similarity.beta.fill_(100)
    sure, (lower, upper) = similarity(a, certain_a, b, certain_b)
    torch.testing.assert_close(sure, upper)
    with torch.no_grad():
        similarity.beta.fill_(-100)
        similarity.links.copy_(torch.eye(4)[None])
    vague, _ = similarity(a, certain_a, b, certain_b)
    torch.testing.assert_close(vague, lower)


def test_only_alpha_and_beta_learn_through_the_final_distance() -> None:
    similarity, (a, certain_a), (b, certain_b) = given(), images(3, 1), images(2, 2)
    a.requires_grad_()
    b.requires_grad_()
    final, levels = similarity(a, certain_a, b, certain_b)
    assert torch.autograd.grad(final.sum(), [a, b], retain_graph=True, allow_unused=True) == (None, None)
    assert (torch.autograd.grad(levels[0].sum(), a)[0][:, 0] != 0).all()
    final.sum().backward()
    for parameter in similarity.parameters():
        assert parameter.grad is not None
        for place in ((0, 1), (1, 2)):  # also alpha and beta of the middle level
            ends = []
            for step in (1e-3, -1e-3):
                with torch.no_grad():
                    parameter[place] += step
                    ends.append(similarity(a.double(), certain_a.double(), b.double(), certain_b.double())[0].sum())
                    parameter[place] -= step
            assert parameter.grad[place].item() == pytest.approx(((ends[0] - ends[1]) / 2e-3).item(), rel=2e-2)
            assert parameter.grad[place].item() != 0


@pytest.mark.parametrize(("numbers", "rows"), [(1, 1), (6 * 4 * 2, 2), (6 * 4 * 3 + 5, 3), (2**21, 7)])
def test_rows_of_distances_come_a_few_at_a_time(numbers: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    similarity, (a, certain_a), (b, certain_b) = given(), images(7, 1), images(6, 2)
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", numbers)
    blocks = list(distance_rows(similarity, a, certain_a, b, certain_b))
    assert {len(block) for block in blocks[:-1]} <= {rows}
    assert len(blocks[0]) == rows
    assert all(block.dtype == torch.float32 and not block.requires_grad for block in blocks)
    torch.testing.assert_close(torch.cat(blocks), similarity(a, certain_a, b, certain_b)[0].detach())


def test_equal_images_are_at_equal_distances() -> None:
    wide = given(3, 64)
    (a, certain_a), (b, certain_b) = images(9, 1, 3, 64), images(5, 2, 3, 64)
    b, certain_b = torch.cat([b, b[:2], b]), torch.cat([certain_b, certain_b[:2], certain_b])
    rows = torch.cat(list(distance_rows(wide, a, certain_a, b, certain_b)))
    assert torch.equal(rows[:, :5], rows[:, 7:])
    assert torch.equal(rows[:, :2], rows[:, 5:7])
