import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tasks.metric import part_weights as module
from tasks.metric.composed import PartEmbeddings
from tasks.metric.part_weights import learn_part_weights


def telling(labels: torch.Tensor, strength: float, seed: int) -> PartEmbeddings:
    """Embeddings in the plane about the direction of their label, the nearer the stronger."""
    generator = np.random.default_rng(seed)
    angles = np.pi * labels.numpy() + generator.normal(size=len(labels)) / strength
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return PartEmbeddings(embeddings=torch.from_numpy(rows), indices=torch.arange(len(labels)))


LABELS = torch.arange(60) % 2
IMAGES = torch.arange(60)


def test_the_part_that_tells_the_label_weighs_most() -> None:
    leaves = {"mute": telling(LABELS, 0.2, 0), "clear": telling(LABELS, 3.0, 1), "faint": telling(LABELS, 0.8, 2)}
    weights = learn_part_weights(leaves, IMAGES, LABELS)
    assert list(weights) == ["mute", "clear", "faint"]
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["clear"] > weights["faint"] > weights["mute"] > 0


def test_a_part_said_twice_shares_its_weight() -> None:
    clear, mute = telling(LABELS, 2.0, 1), telling(LABELS, 0.2, 0)
    weights = learn_part_weights({"a": clear, "b": clear, "mute": mute}, IMAGES, LABELS)
    assert weights["a"] == pytest.approx(weights["b"])


def test_the_weights_are_scipy_s_at_the_same_aim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 2000)
    leaves = {"x": telling(LABELS, 1.0, 1), "y": telling(LABELS, 0.7, 2)}
    rows = [leaf.embeddings.double().numpy() for leaf in leaves.values()]

    def loss(logs: np.ndarray) -> float:
        chances = []
        for i in range(60):
            near = {
                j: np.exp(-sum(np.exp(log) * ((x[i] - x[j]) ** 2).sum() for log, x in zip(logs, rows, strict=True)))
                for j in range(60)
                if j != i
            }
            right = sum(value for j, value in near.items() if LABELS[j] == LABELS[i])
            chances.append(np.log(right / sum(near.values())))
        return float(-np.mean(chances) + module.PULL * np.var(logs))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}).x
    expected = np.exp(best) / np.exp(best).sum()
    got = learn_part_weights(leaves, IMAGES, LABELS)
    assert list(got.values()) == pytest.approx(expected.tolist(), rel=1e-2)


def test_an_absent_part_counts_as_the_zero_vector() -> None:
    clear = telling(LABELS, 3.0, 1)
    seldom = PartEmbeddings(embeddings=clear.embeddings[:3], indices=clear.indices[:3])
    weights = learn_part_weights({"often": clear, "seldom": seldom}, IMAGES, LABELS)
    assert weights["often"] > weights["seldom"]


def test_without_a_neighbour_to_find_the_weights_are_equal() -> None:
    one_each = torch.arange(3)
    leaves = {"x": telling(one_each, 1.0, 0), "y": telling(one_each, 1.0, 1)}
    assert learn_part_weights(leaves, one_each, one_each) == {"x": 0.5, "y": 0.5}
    assert learn_part_weights({"x": leaves["x"]}, one_each, one_each) == {"x": 1.0}
    assert learn_part_weights({}, torch.empty(0).long(), torch.empty(0).long()) == {}
