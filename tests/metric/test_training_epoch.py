from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tasks.errors import InputError
from tasks.metric.evaluation import Precision
from tasks.metric.learner import PROXY_LEARNING_RATE, optimiser_of
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import NodeView, training_data
from tasks.metric.training_epoch import train_epoch
from tasks.segments.store import SegmentStore


class Slope:
    """A learner of two numbers; the loss falls by `steepness` times (3, 4) with them, whatever the pictures."""

    def __init__(self, steepness: float, gradient_limit: float | None) -> None:
        self.steepness, self.gradient_limit = steepness, gradient_limit
        self.learned: nn.Module = nn.ParameterList([nn.Parameter(torch.zeros(2))])
        self.optimiser: torch.optim.Optimizer = torch.optim.SGD(self.learned.parameters(), lr=1.0)
        self.epochs: list[int] = []

    def start_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return (pictures.mean(dim=(1, 2, 3)),)

    def loss(self, outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        (numbers,) = self.learned.parameters()
        return -self.steepness * (numbers * torch.tensor([3.0, 4.0])).sum()

    def embed(self, view: NodeView) -> dict[str, Tensor]:
        raise NotImplementedError

    def precision(self, embedded: Mapping[str, Tensor], labels: Tensor, *, intervals: bool) -> Precision:
        raise NotImplementedError

    def weights(self) -> dict[str, Mapping[str, Tensor]]:
        raise NotImplementedError

    def load(self, best: Mapping[str, Tensor]) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def view(store: SegmentStore, options: TrainingOptions, decoded: Path) -> NodeView:
    return training_data(store, None, options, decoded).train


def job(options: TrainingOptions, folder: Path) -> NodeJob:
    return NodeJob(node="slope", key="k", folder=folder, options=options)


@pytest.mark.parametrize(
    ("steepness", "limit", "step"),
    [(1.0, None, [3.0, 4.0]), (1.0, 10.0, [3.0, 4.0]), (100.0, 10.0, [6.0, 8.0]), (100.0, None, [300.0, 400.0])],
)
def test_the_norm_of_the_gradients_is_held_to_the_limit(
    steepness: float, limit: float | None, step: list[float], options: TrainingOptions, view: NodeView, tmp_path: Path
) -> None:
    learner = Slope(steepness, limit)
    _, images, _ = train_epoch(job(options, tmp_path), learner, view, 3)
    assert (images, learner.epochs) == (32, [3])  # of 36, two batches of 16
    (numbers,) = learner.learned.parameters()
    assert numbers.tolist() == pytest.approx([2 * value for value in step], rel=1e-5)


def test_the_loss_is_the_mean_over_batches(options: TrainingOptions, view: NodeView, tmp_path: Path) -> None:
    loss, _, _ = train_epoch(job(options, tmp_path), Slope(1.0, None), view, 0)
    assert loss == pytest.approx((0 - 25) / 2)


def test_nothing_is_learned_from_a_loss_that_is_no_number(
    options: TrainingOptions, view: NodeView, tmp_path: Path
) -> None:
    learner = Slope(float("nan"), None)
    with pytest.raises(InputError, match="the loss of node 'slope' is not a number in epoch 1: lower the learning"):
        train_epoch(job(options, tmp_path), learner, view, 1)
    (numbers,) = learner.learned.parameters()
    assert numbers.tolist() == [0.0, 0.0]


def test_proxies_are_a_group_of_their_own_where_there_are_any(options: TrainingOptions) -> None:
    model, proxies = nn.Linear(2, 2), nn.Parameter(torch.zeros(3))
    slow, fast = optimiser_of(model.parameters(), [proxies], options).param_groups
    assert (slow["factor"], fast["factor"]) == (1.0, PROXY_LEARNING_RATE)
    assert fast["params"][0] is proxies
    assert [group["factor"] for group in optimiser_of(model.parameters(), [], options).param_groups] == [1.0]
