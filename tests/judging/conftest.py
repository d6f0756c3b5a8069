"""Small models that have seen pictures, and pairs to explain under them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tasks.judging.attribution import PairBatch
from tasks.metric.model import EmbeddingModel, ModelSpec, build_model, normalise


def coarse_pictures(n: int, edge: int, seed: int) -> Tensor:
    """Of 4 x 4 colours: of pixel noise, untrained networks make nearly the same features."""
    coarse = torch.randint(0, 256, (n, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(edge // 4, 2).repeat_interleave(edge // 4, 3)


def pairs_of(n: int, edge: int, seed: int = 0) -> PairBatch:
    """Pairs whose queries' label maps have segments 0, 7 and 250, not all in each."""
    label_maps = torch.zeros(n, edge, edge, dtype=torch.uint8)
    for i in range(n):
        label_maps[i, : edge // 2 + i] = 250
        if i % 2 == 0:
            label_maps[i, edge // 4 : -edge // 4, edge // 4 : -edge // 4] = 7
    queries, supports = (coarse_pictures(n, edge, 2 * seed + side) for side in (1, 2))
    return PairBatch(
        query=queries, support=supports, label_maps=label_maps, seed=seed, centre=torch.linspace(-0.1, 0.1, 6)
    )


def model_of(trunk: str = "small", *, embedder: bool = True) -> EmbeddingModel:
    """A model whose BatchNorm layers have seen pictures, with or without its embedder, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = build_model(ModelSpec(trunk=trunk, embedding=6, seed=3))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = None
                nn.init.normal_(module.bias, std=0.1)
        with torch.no_grad():
            model.train()(normalise(coarse_pictures(16, 32, seed=9)))
    if not embedder:
        model.embedder = nn.Identity()  # type: ignore[assignment]
    return model.eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., EmbeddingModel]:
    """Makes a model: `make_model(trunk="small", embedder=True)`."""
    return model_of


@pytest.fixture(scope="session")
def make_pairs() -> Callable[..., PairBatch]:
    """Makes pairs: `make_pairs(n, edge, seed=0)`."""
    return pairs_of


@pytest.fixture(scope="session")
def model() -> EmbeddingModel:
    """One that all tests share. Not to be written to."""
    return model_of()
