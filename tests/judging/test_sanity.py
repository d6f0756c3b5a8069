import copy

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from tasks.explanation.sfam import explain_pairs, to_picture_size
from tasks.judging.sanity import cascade, randomise, rank_correlations, structural_similarities
from tasks.metric.model import EmbeddingModel, ModelSpec, build_model

STAGES = ["stem.0", "stem.1", "layer1", "layer2", "layer3", "layer4", "embedder"]


def made_model() -> EmbeddingModel:
    return build_model(ModelSpec(trunk="small", embedding=6, seed=1))


def weights_of(model: EmbeddingModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(("direction", "order"), [("top-down", STAGES[::-1]), ("bottom-up", STAGES)])
def test_stage_after_stage_becomes_random(direction: str, order: list[str]) -> None:
    model, seen = made_model(), []
    before = weights_of(model)

    def maps_of(changed: EmbeddingModel) -> Tensor:
        state = changed.state_dict()
        seen.append({name.removeprefix("trunk.") for name in before if not torch.equal(before[name], state[name])})
        return torch.rand(1, 16, 16)

    steps = list(cascade(model, maps_of, direction, 0))  # type: ignore[arg-type]
    assert [step.stage for step in steps] == order
    assert seen[0] == set()
    for number in range(1, len(seen)):
        random = tuple(f"{name}." for name in order[:number])
        weights = {name for name in seen[number] if name.endswith("weight")}
        assert weights and all(name.startswith(random) for name in seen[number])
        matrices = {name.removeprefix("trunk.") for name, tensor in before.items() if tensor.ndim > 1}
        assert {name for name in matrices if name.startswith(random)} <= seen[number]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_one_seed_gives_one_cascade_and_leaves_torch_s_state() -> None:
    model = made_model()
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (2, 2, 3, 8, 8), dtype=np.uint8)
    a, b = torch.from_numpy(coarse.repeat(8, axis=3).repeat(8, axis=4))
    state = torch.get_rng_state()
    runs = [
        [
            step.rank_correlation
            for step in cascade(model, lambda m: to_picture_size(explain_pairs(m, a, b).query, 64), "top-down", seed)
        ]
        for seed in (3, 3, 4)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    for one, again in zip(runs[0], runs[1], strict=True):
        torch.testing.assert_close(one, again, equal_nan=True)
    assert any(not torch.allclose(one, other, equal_nan=True) for one, other in zip(runs[0], runs[2], strict=True))


def test_randomising_forgets_statistics_and_leaves_what_has_no_weights() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU())
    module[1].running_mean += 5  # type: ignore[operator]
    before = copy.deepcopy(module)
    randomise(module)
    assert not torch.equal(module[0].weight, before[0].weight)  # type: ignore[arg-type]
    assert torch.equal(module[1].running_mean, torch.zeros(3))  # type: ignore[arg-type]


def test_parameters_without_an_initialisation_of_their_own_become_random_too() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.linspace(3, 5, 200))
            self.inner = nn.Linear(2, 2)

    module = Scaled()
    before = copy.deepcopy(module)
    randomise(module)
    assert not torch.allclose(module.scale, before.scale)
    assert module.scale.mean().item() == pytest.approx(4, abs=0.2)
    assert module.scale.std().item() == pytest.approx(before.scale.std().item(), rel=0.2)
    assert not torch.equal(module.inner.weight, before.inner.weight)


def test_rank_correlations_are_spearman_s() -> None:
    one, other = torch.from_numpy(np.random.default_rng(0).random((2, 3, 4, 4)))
    other[0] = one[0].exp()
    other[1] = 7.0
    got = rank_correlations(one, other)
    assert got[0].item() == pytest.approx(1)
    assert got[1].isnan()
    ranks = [np.argsort(np.argsort(part[2].flatten().numpy())) for part in (one, other)]
    assert got[2].item() == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-6)
    assert got[2].item() == pytest.approx(spearmanr(one[2].flatten(), other[2].flatten()).statistic, abs=1e-6)


def test_structural_similarity_is_that_of_the_scaled_maps() -> None:
    one = torch.from_numpy(np.random.default_rng(0).random((1, 16, 16))).float()
    assert structural_similarities(one, 3 * one - 5).item() == pytest.approx(1, abs=1e-5)
    assert structural_similarities(one, -one).item() < 0
    assert structural_similarities(torch.zeros(1, 16, 16), torch.zeros(1, 16, 16)).item() == pytest.approx(1)
