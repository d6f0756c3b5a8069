"""Sanity by cascading randomisation: a map that does not change with the model's weights does not explain the model.

After Adebayo et al. (NeurIPS 2018); the SFAM paper cascades from its 1st convolution on. A stage is randomised by its
layers' own initialisation, BatchNorm statistics included. Of AVSL the trunk and the embedders become random; its
similarity (alpha, beta, links) stays.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeVar

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from tasks.explanation.sfam import to_unit_range
from tasks.metric.avsl_model import AVSLModel
from tasks.metric.model import EmbeddingModel
from tasks.metric.seeding import seeded
from tasks.metric.trunks import flattened_stages

Direction = Literal["top-down", "bottom-up"]
PASSES_BELOW = 0.3  # mean rank correlation to the original map once all is random (our reading)
EMBEDDER = "embedder"
Model = TypeVar("Model", EmbeddingModel, AVSLModel)


class CascadeStep(NamedTuple):
    """What is left of the maps once the stages up to one are random.

    Attributes:
        stage: the last one randomised.
        rank_correlation: float32 [n], Spearman's with the original map, in [-1, 1]; NaN where one is constant.
        structural_similarity: float64 [n], SSIM of both maps scaled to [0, 1], in [-1, 1].
    """

    stage: str
    rank_correlation: Tensor
    structural_similarity: Tensor


def cascade(model: Model, maps_of: Callable[[Model], Tensor], direction: Direction, seed: int) -> Iterator[CascadeStep]:
    """Randomise stage after stage, from the embedder down or from the first stage up, and compare the maps.

    Args:
        model: in evaluation mode; it is not changed.
        maps_of: makes the maps, float [n, h, w] of 11 pixels a side at least, from a model.
        direction: where to begin.
        seed: of the random weights.
    """
    original = maps_of(model)
    changed = copy.deepcopy(model)
    stages, device = _stages(changed), next(changed.parameters()).device.type
    for number, (name, stage) in enumerate(reversed(stages) if direction == "top-down" else stages):
        with seeded(seed * 1_000 + number, device):
            randomise(stage)
        maps = maps_of(changed)
        yield CascadeStep(name, rank_correlations(original, maps), structural_similarities(original, maps))


def _stages(model: EmbeddingModel | AVSLModel) -> list[tuple[str, nn.Module]]:
    """Those that have weights, from the first up."""
    embedder = model.embedders if isinstance(model, AVSLModel) else model.embedder
    stages: list[tuple[str, nn.Module]] = [*flattened_stages(model.trunk), (EMBEDDER, embedder)]
    return [(name, stage) for name, stage in stages if any(True for _ in stage.parameters())]


def randomise(module: nn.Module) -> None:
    """Draw every layer's parameters anew from torch's global random state, and forget BatchNorm's statistics.

    Parameters without an initialisation of their own are drawn from a normal distribution of their mean and spread.
    """
    for part in module.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()
            continue
        for parameter in part.parameters(recurse=False):  # such as ConvNeXt's layer scale
            spread = parameter.detach().std(correction=0).item()
            nn.init.normal_(parameter, parameter.detach().mean().item(), spread)


def rank_correlations(one: Tensor, other: Tensor) -> Tensor:
    """Spearman's correlation of each pair of maps, float [n, h, w] twice -> float32 [n]; NaN where one is constant."""
    values = []
    for a, b in zip(one.flatten(1).double(), other.flatten(1).double(), strict=True):
        constant = a.min() == a.max() or b.min() == b.max()
        values.append(float("nan") if constant else float(spearmanr(a.numpy(), b.numpy()).statistic))
    return torch.tensor(values)


def structural_similarities(one: Tensor, other: Tensor) -> Tensor:
    """SSIM (Wang et al. 2004, Gaussian window) of pairs of maps scaled to [0, 1]: [n, h, w] twice -> float32 [n]."""
    from skimage.metrics import structural_similarity  # noqa: PLC0415 (not where only the method is installed)

    pairs = zip(to_unit_range(one.float()).numpy(), to_unit_range(other.float()).numpy(), strict=True)
    measured = [structural_similarity(a, b, data_range=1.0, gaussian_weights=True) for a, b in pairs]  # type: ignore[no-untyped-call]
    return torch.tensor(measured)
