"""A batch in two parts gives the gradients of the whole batch, worked out in the plain way."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.metric.avsl_training import AVSLLearner
from tasks.metric.evaluation import Precision
from tasks.metric.learner import Learner
from tasks.metric.losses import LOSSES
from tasks.metric.micro_batches import split_gradients, statistics_kept, whole_gradients
from tasks.metric.model import normalise
from tasks.metric.options import TrainingOptions
from tasks.metric.training import NodeLearner
from tasks.metric.training_data import NodeView, training_data
from tasks.segments.store import SegmentStore

BATCH = 12


@pytest.fixture(autouse=True)
def _single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the processor has bfloat16, whose rounding would hide a difference."""
    monkeypatch.setattr("tasks.mixed_precision.native_bfloat16", lambda kind: False)


@pytest.fixture(scope="module")
def batch(store: SegmentStore, options: TrainingOptions, decoded: Path) -> tuple[Tensor, Tensor]:
    """Six pictures of each label, one label after the other, as `balanced_batches` has them."""
    view = training_data(store, None, options, decoded).train
    rows = np.concatenate([np.flatnonzero(view.labels == label)[: BATCH // 2] for label in (0, 1)])
    return normalise(view.pictures(rows, "cpu")), torch.from_numpy(view.labels[rows])


def without_batchnorm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            setattr(module, name, nn.Identity())
        else:
            without_batchnorm(child)


def made(loss: str, options: TrainingOptions) -> Learner:
    """AVSL's, or a node's with the loss; twins are alike."""
    if loss == "avsl":
        return AVSLLearner(options, 2, None)
    return NodeLearner(TrainingOptions(**{**vars(options), "loss": loss}), 2, None)


def gradients(learner: Learner) -> dict[str, Tensor]:
    return {name: p.grad for name, p in learner.learned.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("loss", [*LOSSES, "avsl"])
def test_gradients_and_loss_are_those_of_the_whole_batch(
    loss: str, parts: int, options: TrainingOptions, batch: tuple[Tensor, Tensor]
) -> None:
    learner, twin = made(loss, options), made(loss, options)
    for each in (learner, twin):
        without_batchnorm(each.learned)
        each.start_epoch(0)
    # By hand, as a training without memory worries does it.
    expected = twin.loss(twin.forward(batch[0]), batch[1])
    torch.autograd.backward(expected)
    found = split_gradients(learner, *batch, None, parts)
    torch.testing.assert_close(found, expected.detach())
    assert not found.requires_grad
    own, theirs = gradients(learner), gradients(twin)
    assert own.keys() == theirs.keys()
    assert len(own) == sum(parameter.requires_grad for parameter in learner.learned.parameters())
    for name, gradient in theirs.items():
        scale = gradient.abs().max()
        torch.testing.assert_close(own[name], gradient, rtol=0, atol=float(2e-5 * scale + 1e-9), msg=name)
    assert sum(gradient.abs().sum() for gradient in theirs.values()) > 0
    for (name, buffer), other in zip(learner.learned.named_buffers(), twin.learned.buffers(), strict=True):
        torch.testing.assert_close(buffer, other, msg=name)  # AVSL's links among them: moved once, by the whole batch


def test_a_loss_of_each_part_alone_would_be_another(options: TrainingOptions, batch: tuple[Tensor, Tensor]) -> None:
    # So that the test above could fail.
    learner, parts = made("triplet", options), made("triplet", options)
    for each in (learner, parts):
        without_batchnorm(each.learned)
        each.start_epoch(0)
    whole_gradients(learner, *batch, None)
    mean = torch.stack([parts.loss(parts.forward(batch[0][n::2]), batch[1][n::2]) for n in range(2)]).mean()
    torch.autograd.backward(mean)
    own, other = gradients(learner), gradients(parts)
    assert any((own[name] - other[name]).abs().max() > 0.05 * own[name].abs().max() for name in own)


@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_of_the_step_before_do_not_stay(
    parts: int, options: TrainingOptions, batch: tuple[Tensor, Tensor]
) -> None:
    learner = made("triplet", options)
    without_batchnorm(learner.learned)
    learner.start_epoch(0)
    found: list[dict[str, Tensor]] = []
    for _ in range(2):
        whole_gradients(learner, *batch, None) if parts == 1 else split_gradients(learner, *batch, None, parts)
        found.append({name: gradient.clone() for name, gradient in gradients(learner).items()})
    assert all(torch.equal(found[0][name], gradient) for name, gradient in found[1].items())


def test_running_statistics_take_in_each_part_once(options: TrainingOptions, batch: tuple[Tensor, Tensor]) -> None:
    learner, twin = made("triplet", options), made("triplet", options)
    for each in (learner, twin):
        each.start_epoch(0)
    split_gradients(learner, *batch, None, 2)
    with torch.no_grad():
        for number in range(2):
            twin.forward(batch[0][number::2])
    buffers = dict(learner.learned.named_buffers())
    for name, expected in twin.learned.named_buffers():
        torch.testing.assert_close(buffers[name], expected, msg=name)
    assert {int(buffer) for name, buffer in buffers.items() if name.endswith("num_batches_tracked")} == {2}


def test_statistics_kept_are_the_running_ones_and_the_batch_s_count(
    options: TrainingOptions, batch: tuple[Tensor, Tensor]
) -> None:
    learner, twin = made("triplet", options), made("triplet", options)
    for each in (learner, twin):
        each.start_epoch(0)
    before = {name: buffer.clone() for name, buffer in learner.learned.named_buffers()}
    with torch.no_grad(), statistics_kept(learner.learned):
        (kept,) = learner.forward(batch[0])
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.learned.named_buffers())
    with torch.no_grad():
        (plain,) = twin.forward(batch[0])
        assert torch.equal(kept, plain)
        learner.forward(batch[0])
    assert all(not torch.equal(before[name], buffer) for name, buffer in learner.learned.named_buffers())


class Recorded:
    """A learner of one number that keeps what it is shown, and drops out at random."""

    gradient_limit: float | None = None

    def __init__(self) -> None:
        self.learned: nn.Module = nn.ParameterList([nn.Parameter(torch.ones(1))])
        self.optimiser: torch.optim.Optimizer = torch.optim.SGD(self.learned.parameters(), lr=1.0)
        self.shown: list[Tensor] = []
        self.drawn: list[Tensor] = []
        self.labels: list[Tensor] = []

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        self.shown.append(pictures[:, 0, 0, 0])
        (number,) = self.learned.parameters()
        self.drawn.append(torch.rand(len(pictures)))
        return (pictures[:, 0, 0] * number * self.drawn[-1][:, None],)

    def loss(self, outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        self.labels.append(labels)
        return outputs[0].sum()

    def start_epoch(self, epoch: int) -> None:
        raise NotImplementedError

    def embed(self, view: NodeView) -> dict[str, Tensor]:
        raise NotImplementedError

    def precision(self, embedded: Mapping[str, Tensor], labels: Tensor, *, intervals: bool) -> Precision:
        raise NotImplementedError

    def weights(self) -> dict[str, Mapping[str, Tensor]]:
        raise NotImplementedError

    def load(self, best: Mapping[str, Tensor]) -> None:
        raise NotImplementedError


def test_each_part_has_its_share_of_each_class_and_keeps_its_labels() -> None:
    learner = Recorded()
    labels = torch.arange(3).repeat_interleave(4)  # three classes, one after the other
    split_gradients(learner, labels[:, None, None, None].float().expand(12, 3, 2, 2), labels, None, 2)
    assert [shown.tolist() for shown in learner.shown] == [[0, 0, 1, 1, 2, 2]] * 4  # twice each part
    assert learner.labels[0].tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert len(learner.labels) == 1  # the loss sees the whole batch, once


def test_a_part_draws_the_same_random_numbers_both_times_and_another_part_others() -> None:
    learner = Recorded()
    split_gradients(learner, torch.ones(8, 3, 2, 2), torch.zeros(8, dtype=torch.int64), 5, 2)
    first, second, first_again, second_again = learner.drawn
    assert torch.equal(first, first_again)
    assert torch.equal(second, second_again)
    assert not torch.equal(first, second)
    (number,) = learner.learned.parameters()
    assert number.grad is not None
    # Each picture's embedding is its random number, twice.
    assert number.grad.item() == pytest.approx(2 * float(first.sum() + second.sum()))
