import numpy as np
import pytest
import torch

from tasks.judging.masked import masked_similarity
from tasks.judging.similarity import cosine_scorer
from tasks.metric.model import normalise
from tests.judging.test_curves import Identity, cosine, pictures


def test_drop_and_increase_by_hand() -> None:
    query, maps = pictures(4), torch.from_numpy(np.random.default_rng(3).random((4, 8, 8))).float()
    support = pictures(4, seed=1)
    support[:3] = query[:3]
    support[1, :, 4:] = pictures(1, seed=5)[0, :, 4:]  # its lower half is another's
    support[2] = 255 - query[2]
    maps[1] = torch.cat([torch.ones(4, 8), torch.zeros(4, 8)])
    got = masked_similarity(cosine_scorer(Identity(), support), query, maps)
    drops, increases = [], []
    for i in range(4):
        x, y = normalise(query[i : i + 1]).numpy()[0], normalise(support[i : i + 1]).numpy()[0]
        weights = maps[i].numpy()
        weights = (weights - weights.min()) / (weights.max() - weights.min())
        before, after = cosine(x, y), cosine(x * weights, y)
        drops.append(max(0, before - after) / before if before > 0 else np.nan)
        increases.append(float(after > before))
    np.testing.assert_allclose(got.drop, drops, atol=1e-5)
    assert got.increase.tolist() == increases
    assert increases[1] == 1
    assert drops[0] > 0
    assert np.isnan(drops[2])


def test_a_constant_map_removes_everything() -> None:
    query = pictures(1)
    got = masked_similarity(cosine_scorer(Identity(), query), query, torch.ones(1, 8, 8))
    assert got.drop.item() == pytest.approx(1)
    assert torch.equal(got.increase, torch.zeros(1))
