from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.losses import LOSSES, TRIPLET_MARGIN, loss_family


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
    got = loss_family("triplet").loss()(points(ANGLES), torch.tensor(LABELS), mined)
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
    got = loss_family("snr").loss()(embeddings, torch.tensor(LABELS))
    assert got.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
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
    a1, p, a2, n = loss_family(name).miner()(points(ANGLES), torch.tensor(LABELS))
    assert set(zip(a1.tolist(), p.tolist(), strict=True)) == positives
    assert set(zip(a2.tolist(), n.tolist(), strict=True)) == negatives


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_mined_pairs_pulls_labels_apart(name: str) -> None:
    family, labels = loss_family(name), torch.arange(16) % 2
    embeddings = torch.randn(16, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    optimiser = torch.optim.Adam([embeddings], lr=0.05)
    losses = []
    for _ in range(60):
        loss = family.loss()(embeddings, labels, family.miner()(embeddings, labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_each_loss_has_the_distance_that_method_md_gives_it() -> None:
    assert {name: family.own_distance for name, family in LOSSES.items()} == {
        "triplet": "squared_euclidean",
        "snr": "snr",
    }


def test_an_unknown_loss_is_refused_with_the_choices() -> None:
    with pytest.raises(InputError, match="unknown loss 'tripled': one of triplet, snr"):
        loss_family("tripled")
