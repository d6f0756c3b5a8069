from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.losses import LOSSES, SUB_CENTRES, TRIPLET_MARGIN, loss_family


def points(angles: list[float]) -> Tensor:
    """Points on a circle, in degrees; their lengths differ, which normalising takes away."""
    radians = torch.tensor(angles).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1) * torch.linspace(0.5, 3, len(angles))[:, None]


def chord(a: float, b: float) -> float:
    """Distance of two points of the unit circle."""
    return float(2 * np.sin(np.deg2rad(abs(a - b)) / 2))


ANGLES = [0.0, 40.0, 15.0, 90.0, 55.0, 130.0]
LABELS = [0, 0, 1, 1, 0, 1]


def test_triplet_is_the_hinge_on_plain_distances_of_normalised_embeddings() -> None:
    triplets = [(a, p, n) for a, p, n in permutations(range(6), 3) if LABELS[a] == LABELS[p] and LABELS[a] != LABELS[n]]
    hinges = [
        max(0.0, chord(ANGLES[a], ANGLES[p]) - chord(ANGLES[a], ANGLES[n]) + TRIPLET_MARGIN) for a, p, n in triplets
    ]
    violated = [hinge for hinge in hinges if hinge > 0]  # the library averages over these
    assert 0 < len(violated) < len(hinges)
    mined = tuple(torch.tensor(column) for column in zip(*triplets, strict=True))
    got = loss_family("triplet").build(2, 2)(points(ANGLES), torch.tensor(LABELS), mined)
    assert got.item() == pytest.approx(np.mean(violated), rel=1e-5)
    assert TRIPLET_MARGIN == 0.1


def test_snr_is_contrastive_in_the_snr_distance() -> None:
    embeddings = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    unit = embeddings.double().numpy()
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    pairs = list(permutations(range(6), 2))
    distance = {(i, j): np.var(unit[i] - unit[j]) / np.var(unit[i]) for i, j in pairs}
    # The paper of the loss: positive pairs at distance 0, negative ones at 1 or more.
    positive = [distance[i, j] for i, j in pairs if LABELS[i] == LABELS[j]]
    negative = [max(0.0, 1 - distance[i, j]) for i, j in pairs if LABELS[i] != LABELS[j]]
    expected = np.mean([d for d in positive if d > 0]) + np.mean([d for d in negative if d > 0] or [0])
    got = loss_family("snr").build(2, 5)(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(expected, rel=1e-4)


def unit(embeddings: Tensor) -> np.ndarray:
    rows = embeddings.double().detach().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_embeddings(n: int = 6, d: int = 5) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


POSITIVE = [(i, j) for i, j in permutations(range(6), 2) if LABELS[i] == LABELS[j]]
NEGATIVE = [(i, j) for i, j in permutations(range(6), 2) if LABELS[i] != LABELS[j]]


def test_angular_is_the_bound_on_the_angle_at_the_negative() -> None:
    # Wang et al. 2017: log(1 + sum over negatives of exp(4 tan^2(alpha) (a + p).n - 2 (1 + tan^2(alpha)) a.p)).
    embeddings = random_embeddings()
    rows, tangent = unit(embeddings), np.tan(np.deg2rad(40)) ** 2
    terms = []
    for a, p in POSITIVE:
        exponents = [
            4 * tangent * (rows[a] + rows[p]) @ rows[n] - 2 * (1 + tangent) * rows[a] @ rows[p]
            for n in range(6)
            if LABELS[n] != LABELS[a]
        ]
        terms.append(np.log(1 + np.exp(exponents).sum()))
    got = loss_family("angular").build(2, 5)(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_multi_similarity_weighs_pairs_by_their_similarity() -> None:
    # Wang et al. 2019, equation 15: alpha 2, beta 50, lambda 0.5.
    embeddings = random_embeddings()
    cosine = unit(embeddings) @ unit(embeddings).T
    terms = []
    for a in range(6):
        pulled = sum(np.exp(-2 * (cosine[a, j] - 0.5)) for i, j in POSITIVE if i == a)
        pushed = sum(np.exp(50 * (cosine[a, j] - 0.5)) for i, j in NEGATIVE if i == a)
        terms.append(np.log(1 + pulled) / 2 + np.log(1 + pushed) / 50)
    got = loss_family("multi_similarity").build(2, 5)(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_ntxent_is_the_cross_entropy_of_each_positive_pair() -> None:
    embeddings = random_embeddings()
    cosine = unit(embeddings) @ unit(embeddings).T / 0.07
    terms = []
    for a, p in POSITIVE:
        others = [cosine[a, j] for i, j in NEGATIVE if i == a]
        terms.append(np.logaddexp.reduce([cosine[a, p], *others]) - cosine[a, p])
    got = loss_family("ntxent").build(2, 5)(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_proxy_anchor_compares_with_one_proxy_a_label() -> None:
    # Kim et al. 2020, equation 4: margin 0.1, scale 32.
    embeddings, loss = random_embeddings(), loss_family("proxy_anchor").build(2, 5)
    (proxies,) = loss.parameters()
    assert proxies.shape == (2, 5)
    cosine = unit(proxies) @ unit(embeddings).T
    pulled = [np.log1p(sum(np.exp(-32 * (cosine[k, i] - 0.1)) for i in range(6) if LABELS[i] == k)) for k in (0, 1)]
    pushed = [np.log1p(sum(np.exp(32 * (cosine[k, i] + 0.1)) for i in range(6) if LABELS[i] != k)) for k in (0, 1)]
    got = loss(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(np.mean(pulled) + np.mean(pushed), rel=1e-4)


def test_subcenter_arcface_takes_the_nearest_of_three_centres() -> None:
    # Deng et al. 2020: cosine to a label is that of its nearest sub-centre; 28.6 degrees are added to the own angle.
    torch.manual_seed(0)
    embeddings, loss = random_embeddings(), loss_family("subcenter_arcface").build(2, 5)
    (centres,) = loss.parameters()
    assert centres.shape == (5, 2 * SUB_CENTRES)
    cosine = (unit(embeddings) @ unit(centres.T).T).reshape(6, 2, SUB_CENTRES).max(axis=2)
    terms = []
    for i, label in enumerate(LABELS):
        logits = 64 * cosine[i]
        own = np.arccos(cosine[i, label]) + np.deg2rad(28.6)
        assert own <= np.pi  # beyond it the library bends the curve
        logits[label] = 64 * np.cos(own)
        terms.append(np.logaddexp.reduce(logits) - logits[label])
    got = loss(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(np.mean(terms), rel=1e-3)


MINED = [name for name, family in LOSSES.items() if family.mined]


def test_proxies_need_no_miner() -> None:
    assert set(LOSSES) - set(MINED) == {"proxy_anchor", "subcenter_arcface"}
    for name, family in LOSSES.items():
        assert (family.miner() is None) == (name not in MINED)
        assert bool(list(family.build(2, 4).parameters())) == (name not in MINED)


@pytest.mark.parametrize("name", MINED)
def test_the_miner_takes_what_is_harder_than_the_other_side_by_epsilon(name: str) -> None:
    cosine = np.cos(np.deg2rad(np.subtract.outer(ANGLES, ANGLES)))
    positives, negatives = set(), set()
    for a in range(6):
        own = [i for i in range(6) if i != a and LABELS[i] == LABELS[a]]
        other = [i for i in range(6) if LABELS[i] != LABELS[a]]
        positives |= {(a, i) for i in own if cosine[a, i] - 0.1 < max(cosine[a, j] for j in other)}
        negatives |= {(a, i) for i in other if cosine[a, i] + 0.1 > min(cosine[a, j] for j in own)}
    assert positives
    assert 0 < len(negatives) < 18
    miner = loss_family(name).miner()
    assert miner is not None
    a1, p, a2, n = miner(points(ANGLES), torch.tensor(LABELS))
    assert set(zip(a1.tolist(), p.tolist(), strict=True)) == positives
    assert set(zip(a2.tolist(), n.tolist(), strict=True)) == negatives


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_mined_pairs_pulls_labels_apart(name: str) -> None:
    family, labels = loss_family(name), torch.arange(16) % 2
    torch.manual_seed(0)
    loss_function, miner = family.build(2, 4), family.miner()
    embeddings = torch.randn(16, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    optimiser = torch.optim.Adam([embeddings, *loss_function.parameters()], lr=0.05)
    losses = []
    for _ in range(60):
        loss = loss_function(embeddings, labels, miner(embeddings, labels) if miner else None)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    cosine = unit(embeddings) @ unit(embeddings).T
    same = labels.numpy()[:, None] == labels.numpy()[None]
    assert cosine[same].mean() > cosine[~same].mean() + 0.25  # sub-centres may part a label


def test_each_loss_has_the_distance_that_fits_it() -> None:
    # Method: squared Euclidean for triplet and angular, SNR for the SNR loss, cosine for the others.
    assert {name: family.own_distance for name, family in LOSSES.items()} == {
        "triplet": "squared_euclidean",
        "angular": "squared_euclidean",
        "multi_similarity": "cosine",
        "ntxent": "cosine",
        "snr": "snr",
        "proxy_anchor": "cosine",
        "subcenter_arcface": "cosine",
    }


def test_an_unknown_loss_is_refused_with_the_choices() -> None:
    with pytest.raises(
        InputError,
        match="unknown loss 'tripled': one of triplet, angular, multi_similarity, ntxent, snr, proxy_anchor, sub",
    ):
        loss_family("tripled")
