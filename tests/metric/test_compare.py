import numpy as np
import pytest
import torch

from tasks.metric import precision
from tasks.metric.compare import Difference, compare_nodes
from tasks.metric.composed import PartEmbeddings


def hits(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each row's nearest other one (squared Euclidean, normalised) has its label."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = []
    for i in range(len(unit)):
        nearest = min((((unit[i] - unit[j]) ** 2).sum(), j) for j in range(len(unit)) if j != i)[1]
        found.append(float(labels[nearest] == labels[i]))
    return np.array(found)


def nodes() -> tuple[PartEmbeddings, PartEmbeddings, torch.Tensor]:
    generator = np.random.default_rng(0)
    labels = torch.arange(50) % 2
    clear = generator.normal(size=(50, 4)) + 2 * labels.numpy()[:, None]
    noisy = generator.normal(size=(50, 4))
    some = torch.arange(50)[::3]
    return (
        PartEmbeddings(embeddings=torch.from_numpy(clear), indices=torch.arange(50)),
        PartEmbeddings(embeddings=torch.from_numpy(noisy)[::3], indices=some),
        labels,
    )


def test_both_are_judged_among_the_images_that_both_have() -> None:
    clear, noisy, labels = nodes()
    got = compare_nodes(clear, noisy, labels, "squared_euclidean")
    assert got is not None
    shared = noisy.indices.numpy()
    first = hits(clear.embeddings.numpy()[shared], labels.numpy()[shared])
    second = hits(noisy.embeddings.numpy(), labels.numpy()[shared])
    assert got.value == pytest.approx((first - second).mean())
    assert got.n == 17
    generator = np.random.default_rng(1)
    means = [(first - second)[generator.integers(17, size=17)].mean() for _ in range(4000)]
    assert got.interval == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.07)
    back = compare_nodes(noisy, clear, labels, "squared_euclidean")
    assert back is not None and back.value == pytest.approx(-got.value)


def test_a_node_ties_with_itself() -> None:
    clear, _, labels = nodes()
    assert compare_nodes(clear, clear, labels, "cosine") == Difference(value=0.0, interval=(0.0, 0.0), n=50)


@pytest.mark.parametrize(
    ("interval", "tie"), [((-0.1, 0.1), True), ((0.0, 0.1), True), ((0.01, 0.1), False), ((-0.2, -0.01), False)]
)
def test_an_interval_that_holds_0_is_a_tie(interval: tuple[float, float], tie: bool) -> None:
    assert Difference(value=sum(interval) / 2, interval=interval, n=9).is_tie is tie


def test_there_is_nothing_to_compare_without_shared_images() -> None:
    clear, _, labels = nodes()
    one = PartEmbeddings(embeddings=torch.ones(1, 4), indices=torch.tensor([3]))
    assert compare_nodes(clear, one, labels, "cosine") is None


@pytest.mark.parametrize("at_once", [1, 8, 1000])  # distances: one row, two rows, all rows of 4
def test_nodes_are_compared_query_by_query(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "DISTANCES_AT_ONCE", at_once)
    labels, images = torch.tensor([0, 0, 1, 1]), torch.arange(4)
    right, wrong = (
        PartEmbeddings(embeddings=torch.stack([angles.cos(), angles.sin()], dim=1), indices=images)
        for angles in (torch.tensor([0.0, 0.1, 2.0, 2.1]), torch.tensor([0.0, 2.0, 0.1, 2.1]))
    )
    assert compare_nodes(right, wrong, labels, "cosine") == Difference(value=1.0, interval=(1.0, 1.0), n=4)
