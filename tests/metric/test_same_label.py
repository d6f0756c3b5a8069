import itertools

import numpy as np
import pytest
import torch

from tasks.metric import same_label as module
from tasks.metric.distances import bounded_snr_distance
from tasks.metric.evaluation import percentile
from tasks.metric.same_label import same_label_quantiles


def test_quantiles_are_over_the_pairs_of_one_label() -> None:
    generator = np.random.default_rng(0)
    embeddings = torch.from_numpy(generator.normal(size=(12, 5)))
    labels = torch.tensor([0, 1, 2, 0, 1, 0, 1, 0, 0, 1, 2, 0])
    distances = sorted(
        bounded_snr_distance(embeddings[a : a + 1], embeddings[b : b + 1]).item()
        for a, b in itertools.combinations(range(12), 2)
        if labels[a] == labels[b]
    )
    quantiles = same_label_quantiles(embeddings, labels)
    assert quantiles.shape == (1001,)
    assert quantiles[[0, -1]].tolist() == pytest.approx([distances[0], distances[-1]])
    assert quantiles[500] == pytest.approx(np.median(distances))


def test_where_labels_are_told_apart_a_pair_of_two_is_beyond_all_of_one() -> None:
    generator = np.random.default_rng(0)
    labels = torch.arange(40) % 2
    noise = torch.from_numpy(generator.normal(size=(40, 6)))
    apart = noise * 0.1 + torch.where(labels[:, None] == 1, 1.0, -1.0) * torch.tensor([1.0, -1, 1, -1, 1, -1])
    for embeddings, low in ((apart, 99.0), (noise, 0.0)):
        quantiles = same_label_quantiles(embeddings, labels)
        places = [
            percentile(bounded_snr_distance(embeddings[i : i + 1], embeddings[i + 1 : i + 2]).item(), quantiles)
            for i in range(0, 40, 2)
        ]
        assert all(place is not None and place >= low for place in places)
    assert any(place is not None and place < 50 for place in places)


def test_of_many_images_evenly_spaced_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IMAGES_FOR_QUANTILES", 3)
    embeddings = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 4)))
    labels = torch.zeros(5, dtype=torch.int64)
    np.testing.assert_array_equal(
        same_label_quantiles(embeddings, labels), same_label_quantiles(embeddings[::2], labels[::2])
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_without_two_of_one_label_there_are_none(n: int) -> None:
    assert same_label_quantiles(torch.rand(n, 4), torch.arange(n)).shape == (0,)
