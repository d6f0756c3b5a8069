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
    weights = learn_part_weights(leaves, IMAGES, LABELS).weights
    assert list(weights) == ["mute", "clear", "faint"]
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    assert weights["clear"] > weights["faint"] > weights["mute"] >= 0


def test_a_part_said_twice_shares_its_weight() -> None:
    clear, mute = telling(LABELS, 2.0, 1), telling(LABELS, 0.2, 0)
    weights = learn_part_weights({"a": clear, "b": clear, "mute": mute}, IMAGES, LABELS).weights
    assert weights["a"] == pytest.approx(weights["b"], abs=1e-4)


def test_the_weights_are_those_of_another_minimiser_over_a_double_loop() -> None:
    leaves = {"x": telling(LABELS, 1.0, 1), "y": telling(LABELS, 0.7, 2)}
    rows = [leaf.embeddings.double().numpy() for leaf in leaves.values()]
    pairs = [
        ([((x[i] - x[j]) ** 2).sum() for x in rows], 1 if LABELS[i] == LABELS[j] else -1)
        for i in range(60)
        for j in range(i)
    ]

    def loss(parameters: np.ndarray) -> float:
        weights, offset = np.abs(parameters[:2]), parameters[2]
        wrong = [np.log1p(np.exp(-sign * (offset - np.dot(weights, terms)))) for terms, sign in pairs]
        return float(np.mean(wrong) + module.PRIOR / 60 * (weights**2).sum())

    best = np.abs(minimize(loss, [0.1, 0.1, 0.0], method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-10}).x[:2])
    got = learn_part_weights(leaves, IMAGES, LABELS).weights
    assert list(got.values()) == pytest.approx((best / best.sum()).tolist(), abs=2e-3)


def test_each_fold_s_weights_are_learned_without_its_images() -> None:
    leaves = {"x": telling(LABELS, 1.0, 1), "y": telling(LABELS, 0.7, 2)}
    folds = learn_part_weights(leaves, IMAGES, LABELS).folds
    assert sorted(torch.cat([images for images, _ in folds]).tolist()) == IMAGES.tolist()
    for images, weights in folds:
        others = torch.tensor([image for image in range(60) if image not in images.tolist()])
        assert weights == learn_part_weights(leaves, others, LABELS[others]).weights


def test_an_absent_part_counts_as_the_zero_vector() -> None:
    clear = telling(LABELS, 3.0, 1)
    seldom = PartEmbeddings(embeddings=clear.embeddings[:3], indices=clear.indices[:3])
    weights = learn_part_weights({"often": clear, "seldom": seldom}, IMAGES, LABELS).weights
    assert weights["often"] > weights["seldom"]


def test_of_many_images_evenly_spaced_ones_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = {"x": telling(LABELS, 1.0, 1), "y": telling(LABELS, 0.7, 2)}
    monkeypatch.setattr(module, "MOST_IMAGES", 30)
    some = torch.linspace(0, 59, 30).long()
    assert learn_part_weights(leaves, IMAGES, LABELS).weights == learn_part_weights(leaves, some, LABELS[some]).weights


def test_without_pairs_to_learn_from_the_weights_are_equal() -> None:
    one = torch.arange(1)
    assert learn_part_weights({"x": telling(one, 1.0, 0), "y": telling(one, 1.0, 1)}, one, one).weights == {
        "x": 0.5,
        "y": 0.5,
    }
    assert learn_part_weights({"x": telling(LABELS, 1.0, 0)}, IMAGES, LABELS).weights == {"x": 1.0}
    assert learn_part_weights({}, torch.empty(0).long(), torch.empty(0).long()).weights == {}
