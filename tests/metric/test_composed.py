import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import Tensor

from tasks.metric.composed import PartEmbeddings, composed_distance, composed_precision, side_by_side
from tasks.metric.evaluation import Precision


def part(indices: list[int], seed: int, d: int = 4) -> PartEmbeddings:
    rows = np.random.default_rng(seed).normal(size=(len(indices), d)).astype(np.float32)
    return PartEmbeddings(embeddings=torch.from_numpy(rows), indices=torch.tensor(indices, dtype=torch.int64))


def unit(given_part: PartEmbeddings, image: int) -> np.ndarray:
    """The part's embedding of an image by hand; None of it there: zeros."""
    d = given_part.embeddings.shape[1]
    for index, row in zip(given_part.indices.tolist(), given_part.embeddings.double().numpy(), strict=True):
        if index == image:
            return np.asarray(row / np.sqrt((row**2).sum()))
    return np.zeros(d)


HAIR, HAT = part([0, 1, 2, 4, 5], 0), part([1, 4], 1, d=3)
WEIGHTS = {"hair": 0.7, "hat": 0.3, "another": 5.0}


def distances(images: list[int]) -> Tensor:
    vectors = side_by_side({"hair": HAIR, "hat": HAT}, WEIGHTS, torch.tensor(images))
    return composed_distance(vectors, vectors)


def test_an_absent_part_is_the_zero_vector() -> None:
    rows = HAT.of(torch.tensor([0, 1, 4, 5]))
    for row, image in zip(rows.numpy(), (0, 1, 4, 5), strict=True):
        np.testing.assert_allclose(row, unit(HAT, image))
    assert not rows[0].any() and rows[1].any()
    assert part([], 0).of(torch.tensor([3, 9])).tolist() == [[0.0] * 4] * 2


def test_the_composed_distance_is_the_weighted_sum_of_the_leaves_squared_distances() -> None:
    images = [0, 1, 3, 4]
    got = distances(images)
    for i, a in enumerate(images):
        for j, b in enumerate(images):
            terms = [
                WEIGHTS[name] * sum((unit(leaf, a) - unit(leaf, b)) ** 2)
                for name, leaf in (("hair", HAIR), ("hat", HAT))
            ]
            assert got[i, j].item() == pytest.approx(sum(terms), abs=1e-12)
    # Hair in both, hat in one: the hat's term is its weight. Nothing in either: 0.
    assert got[2, 2] == 0
    assert got[2, 0].item() == pytest.approx(0.7)
    assert got[2, 1].item() == pytest.approx(0.7 + 0.3)


@given(st.integers(0, 100), st.lists(st.floats(0, 3), min_size=3, max_size=3))
def test_an_inner_node_s_sum_is_its_children_s_added_up(seed: int, factors: list[float]) -> None:
    leaves = {str(i): part([0, 2, 3], seed + i) for i in range(3)}
    weights = dict(zip(leaves, factors, strict=True))
    images = torch.arange(4)

    def of(*names: str) -> Tensor:
        vectors = side_by_side({name: leaves[name] for name in names}, weights, images)
        return composed_distance(vectors, vectors)

    torch.testing.assert_close(of("0", "1", "2"), of("0", "1") + of("2"), rtol=0, atol=1e-10)


def test_precision_is_the_library_s_on_the_vectors_side_by_side() -> None:
    n = 30
    leaves = {"a": part(list(range(n)), 0), "b": part(list(range(0, n, 2)), 1)}
    weights, labels = {"a": 0.4, "b": 0.6}, torch.arange(n) % 3
    got = composed_precision(leaves, weights, torch.arange(n), labels)
    zero = np.zeros(4)
    rows = [
        np.concatenate([0.4**0.5 * unit(leaves["a"], i), 0.6**0.5 * (unit(leaves["b"], i) if i % 2 == 0 else zero)])
        for i in range(n)
    ]
    knn = CustomKNN(LpDistance(normalize_embeddings=False))
    calculator = AccuracyCalculator(include=("precision_at_1",), k=1, knn_func=knn)
    expected = calculator.get_accuracy(torch.from_numpy(np.array(rows)), labels)["precision_at_1"]
    assert got.at[1] == pytest.approx(expected)
    assert got.n == n and got.intervals[1] is not None


def test_images_that_show_no_leaf_tie() -> None:
    # Four images at one point: each has one of its own label among three others.
    labels = torch.tensor([0, 0, 1, 1])
    got = composed_precision({"hat": part([], 0)}, {"hat": 1.0}, torch.arange(4), labels, intervals=False)
    assert got.at == {1: pytest.approx(1 / 3), 2: pytest.approx(1 / 3), 8: None}
    assert got.intervals == {1: None, 2: None, 8: None}


def test_without_a_leaf_there_are_no_figures() -> None:
    assert composed_precision({}, {}, torch.arange(5), torch.zeros(5, dtype=torch.int64)) == Precision.none(5)
