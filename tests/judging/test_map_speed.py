from collections.abc import Callable, Iterator

import pytest
import torch

from tasks.judging.attribution import PairBatch
from tasks.judging.map_speed import maps_per_second
from tasks.metric.model import EmbeddingModel
from tasks.paired_rounds import Ratio

# Seconds of SFAM, of embedding Grad-CAM's targets, and of Grad-CAM itself; the first round warms up.
ROUNDS = [(9.0, 9.0, 9.0), (1.0, 0.5, 2.0), (2.0, 1.0, 4.0), (1.0, 2.0, 6.0)]


def clock_of(rounds: list[tuple[float, float, float]]) -> Iterator[float]:
    """What a clock shows: at both ends of each side, and in Grad-CAM also at both ends of its targets."""
    now = 100.0
    for number, (similar, targets, graded) in enumerate(rounds):
        sides = [[similar], [0.0, targets, graded]]
        for parts in sides if number % 2 else sides[::-1]:
            yield now
            for seconds in parts:
                now += seconds
                yield now
            now += 50  # what passes in between does not count


def test_the_figures_are_those_of_the_clock(model: EmbeddingModel, make_pairs: Callable[..., PairBatch]) -> None:
    ticks = clock_of(ROUNDS)
    got = maps_per_second(model, make_pairs(2, 32), "layer3", rounds=3, clock=lambda: next(ticks))
    assert next(ticks, None) is None
    assert (got.layer, got.device, got.maps, got.rounds) == ("layer3", "cpu", 4, 3)
    assert got.threads == torch.get_num_threads()
    # Medians of 1, 2, 1 seconds, of 2.5, 5, 8, and of 2, 4, 6; ratios 2.5, 2.5, 8 and 2, 2, 6.
    assert (got.sfam, got.grad_cam, got.grad_cam_targets_given) == (4, 0.8, 1)
    assert got.ratio == Ratio(median=2.5, low=2.5, high=8)
    assert got.ratio_targets_given == Ratio(median=2, low=2, high=6)


def test_by_its_own_clock_all_figures_are_positive_and_fit(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch]
) -> None:
    got = maps_per_second(model, make_pairs(2, 32), "layer3", rounds=2)
    assert got.grad_cam_targets_given > got.grad_cam > 0
    assert got.sfam > 0
    for ratio, targets_given in zip(
        (got.ratio.low, got.ratio.median, got.ratio.high),
        (got.ratio_targets_given.low, got.ratio_targets_given.median, got.ratio_targets_given.high),
        strict=True,
    ):
        assert ratio > targets_given > 0
    assert got.ratio.low <= got.ratio.median <= got.ratio.high


def test_the_model_is_left_as_it_was(model: EmbeddingModel, make_pairs: Callable[..., PairBatch]) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    maps_per_second(model, make_pairs(1, 32), "layer3", rounds=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_that_is_not_there_is_named(model: EmbeddingModel, make_pairs: Callable[..., PairBatch]) -> None:
    with pytest.raises(ValueError, match="no stage 'layer9'"):
        maps_per_second(model, make_pairs(1, 32), "layer9")
