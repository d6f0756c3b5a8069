"""Judge attributions against each other: the same pairs, the same model, every measure (method: SFAM, judging maps)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.judging.attribution import Attribution, Method, PairBatch, first
from tasks.judging.avsl_attribution import avsl_attribution
from tasks.judging.curves import MODES, similarity_curves
from tasks.judging.localisation import energy_in_segment, pointing_game
from tasks.judging.masked import masked_similarity
from tasks.judging.sanity import PASSES_BELOW, CascadeStep, Direction, Model, cascade
from tasks.judging.similarity import Scorer, avsl_scorer, cosine_scorer, mean_embedding
from tasks.metric.avsl_model import AVSLModel
from tasks.metric.compare import Difference
from tasks.metric.model import EmbeddingModel
from tasks.metric.precision import bootstrap_interval

BATCH = 32
SANITY_PAIRS = 12
AVSL = Method(name="avsl", title="AVSL (its own model)", given_masks=False, gradient=False, floor=False)
DIRECTIONS: tuple[Direction, ...] = ("top-down", "bottom-up")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a map.

    Attributes:
        title: for tables.
        higher_is_better: its direction.
    """

    title: str
    higher_is_better: bool


MEASURES: dict[str, Measure] = {
    "deletion": Measure(title="deletion AUC", higher_is_better=False),
    "deletion_normalised": Measure(title="deletion AUC, normalised", higher_is_better=False),
    "insertion": Measure(title="insertion AUC", higher_is_better=True),
    "insertion_normalised": Measure(title="insertion AUC, normalised", higher_is_better=True),
    "deletion_centred": Measure(title="deletion AUC about the mean", higher_is_better=False),
    "insertion_centred": Measure(title="insertion AUC about the mean", higher_is_better=True),
    "drop": Measure(title="average drop", higher_is_better=False),
    "increase": Measure(title="increase", higher_is_better=True),
    "energy": Measure(title="energy in segment", higher_is_better=True),
    "pointing": Measure(title="pointing game", higher_is_better=True),
}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its 95 % bootstrap interval over pairs.

    Attributes:
        mean: of the pairs where the figure is defined.
        interval: its 95 % interval.
        n: number of these pairs.
    """

    mean: float
    interval: tuple[float, float]
    n: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Estimate | None":
        """Of values, float64 [n], in which NaN is not defined; None without any that is."""
        known = values[~np.isnan(values)]
        return cls(mean=float(known.mean()), interval=bootstrap_interval(known), n=len(known)) if len(known) else None


@dataclass(frozen=True, kw_only=True)
class Sanity:
    """How a method's maps stand a cascade of randomisation.

    Attributes:
        stages: names, in the order in which they were randomised.
        rank_correlation: mean Spearman correlation with the original maps after each; None where no map varies.
        structural_similarity: mean SSIM after each.
    """

    stages: tuple[str, ...]
    rank_correlation: tuple[float | None, ...]
    structural_similarity: tuple[float, ...]

    @property
    def passes(self) -> bool:
        """Whether the rank correlation ends below `PASSES_BELOW`. Constant maps at the end tell of nothing and pass."""
        last = self.rank_correlation[-1]
        return last is None or last < PASSES_BELOW


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One method's figures.

    Attributes:
        method: whose.
        values: measure to each pair's figure, float64 [pairs]; NaN where it is not defined.
        sanity: by direction.
    """

    method: Method
    values: Mapping[str, NDArray[np.float64]]
    sanity: Mapping[Direction, Sanity]

    @property
    def passes_sanity(self) -> bool:
        """Whether it passes in both directions."""
        return all(found.passes for found in self.sanity.values())

    def estimate(self, measure: str) -> Estimate | None:
        """A measure's mean and interval; None where it is defined for no pair."""
        return Estimate.of(self.values[measure])

    def better_than(self, other: "Judged", measure: str) -> Difference | None:
        """By how much it is better than another method on the same pairs; positive is better for every measure."""
        difference = self.values[measure] - other.values[measure]
        found = Estimate.of(difference if MEASURES[measure].higher_is_better else -difference)
        return None if found is None else Difference(value=found.mean, interval=found.interval, n=found.n)


def judge(
    model: EmbeddingModel,
    pairs: PairBatch,
    segment: Tensor,
    layer: str,
    attributions: Iterable[Attribution],
    on_method: Callable[[str], None] = lambda name: None,
) -> list[Judged]:
    """Make every method's maps of the queries and measure them.

    Args:
        model: in evaluation mode.
        pairs: n pairs; sanity is tested on the first 12.
        segment: bool [n, h, w], where the queries' ground truth lies, for energy and pointing.
        layer: the explained layer.
        attributions: the methods.
        on_method: called with each method's name before it runs.
    """
    scores = cosine_scorer(model, pairs.support, pairs.centre)
    judged = []
    for attribution in attributions:
        on_method(attribution.name)
        values = measure_maps(scores, pairs.query, segment, maps_of(attribution, model, pairs, layer))
        sanity = _sanities(model, partial(_maps_of_first, attribution, pairs, layer), pairs.seed)
        judged.append(Judged(method=attribution, values=values, sanity=sanity))
    return judged


def judge_avsl(model: AVSLModel, pairs: PairBatch, segment: Tensor) -> Judged:
    """The same of AVSL's own maps, under its own similarity.

    Args:
        model: in evaluation mode.
        pairs: n pairs.
        segment: bool [n, h, w].
    """
    batches = zip(torch.split(pairs.query, BATCH), torch.split(pairs.support, BATCH), strict=True)
    maps = torch.cat([avsl_attribution(model, query, support) for query, support in batches])
    few = first(pairs, SANITY_PAIRS)
    sanity = _sanities(model, lambda changed: avsl_attribution(changed, few.query, few.support), pairs.seed)
    values = measure_maps(avsl_scorer(model, pairs.support), pairs.query, segment, maps)
    return Judged(method=AVSL, values=values, sanity=sanity)


def maps_of(attribution: Attribution, model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    """A method's maps, float32 [n, h, w], made in batches; each batch has a seed of its own."""
    maps = []
    for start in range(0, len(pairs.query), BATCH):
        maps.append(attribution.attribute(model, first(pairs, BATCH, start), layer))
    return torch.cat(maps)


def measure_maps(scores: Scorer, query: Tensor, segment: Tensor, maps: Tensor) -> dict[str, NDArray[np.float64]]:
    """Every measure of the maps of the queries.

    Args:
        scores: of the similarity to each query's support, and of that about the mean embedding where it is known.
        query: uint8 [n, 3, h, w].
        segment: bool [n, h, w].
        maps: float32 [n, h, w].

    Returns:
        Measure to float64 [n]; NaN where it is not defined.
    """
    masked = masked_similarity(scores, query, maps)
    found = {
        "drop": masked.drop,
        "increase": masked.increase,
        "energy": energy_in_segment(maps, segment),
        "pointing": pointing_game(maps, segment),
    }
    for mode in MODES:
        curves = similarity_curves(scores, query, maps, mode)
        found |= {mode: curves.area[:, 0], f"{mode}_normalised": curves.normalised_area[:, 0]}
        if curves.area.shape[1] > 1:
            found[f"{mode}_centred"] = curves.area[:, 1]
    unknown = torch.full((len(query),), torch.nan)
    return {name: found.get(name, unknown).double().numpy() for name in MEASURES}


def best_of(judged: Sequence[Judged], measure: str) -> Judged | None:
    """The method with the best mean; None without any."""
    sign = 1 if MEASURES[measure].higher_is_better else -1
    known = [(sign * found.mean, number) for number, row in enumerate(judged) if (found := row.estimate(measure))]
    return judged[max(known, key=lambda pair: (pair[0], -pair[1]))[1]] if known else None


def _maps_of_first(attribution: Attribution, pairs: PairBatch, layer: str, model: EmbeddingModel) -> Tensor:
    few = first(pairs, SANITY_PAIRS)
    if few.centre is not None:  # another model has another mean
        few = replace(few, centre=mean_embedding(model, torch.cat([few.query, few.support])))
    return maps_of(attribution, model, few, layer)


def _sanities(model: Model, maps: Callable[[Model], Tensor], seed: int) -> dict[Direction, Sanity]:
    return {direction: _sanity(cascade(model, maps, direction, seed)) for direction in DIRECTIONS}


def _sanity(cascaded: Iterator[CascadeStep]) -> Sanity:
    steps = list(cascaded)
    correlations = [step.rank_correlation[~step.rank_correlation.isnan()] for step in steps]
    return Sanity(
        stages=tuple(step.stage for step in steps),
        rank_correlation=tuple(known.mean().item() if len(known) else None for known in correlations),
        structural_similarity=tuple(step.structural_similarity.mean().item() for step in steps),
    )
