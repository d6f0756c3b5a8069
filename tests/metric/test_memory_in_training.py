"""A training whose memory runs out: it goes on with half of the batch at once, and then it says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tasks.errors import OutOfMemory
from tasks.metric import training
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.model import EmbeddingModel, build_model
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.training import NodeLearner, train_node
from tasks.metric.training_data import TrainingData, training_data
from tasks.metric.training_epoch import train_epoch
from tasks.segments.store import SegmentStore

BATCH, HALF = 16, 8


@pytest.fixture(scope="module")
def badge(store: SegmentStore, options: TrainingOptions, decoded: Path) -> TrainingData:
    return training_data(store, (2,), options, decoded)


def job(folder: Path, options: TrainingOptions) -> NodeJob:
    return NodeJob(node="badge", key="k", folder=folder, options=options)


def limit(model: nn.Module, largest: int, *, from_batch: int = 0) -> None:
    """From a batch on, memory runs out at the embedder when it is given more than so many pictures in training.

    The trunk's BatchNorm has counted them by then.
    """
    assert isinstance(model, EmbeddingModel)
    batches = [0]

    def run_out(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if module.training:
            batches[0] += 1
            if batches[0] > from_batch and len(arguments[0]) > largest:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    model.embedder.register_forward_pre_hook(run_out)


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes `train_node` build models with a limit."""

    def set_limit(largest: int, *, from_batch: int = 0) -> None:
        def build(*arguments: object) -> EmbeddingModel:
            model = build_model(*arguments)  # type: ignore[arg-type]
            limit(model, largest, from_batch=from_batch)
            return model

        monkeypatch.setattr(training, "build_model", build)

    return set_limit


def equal_states(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


def test_a_batch_that_does_not_fit_is_taken_in_two_from_where_it_began(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    learner, twin, whole = (NodeLearner(options, 2, None) for _ in range(3))
    limit(learner.model, HALF)
    loss, images, parts = train_epoch(job(tmp_path, options), learner, badge.train, 0)
    assert (images, parts) == (32, 2)
    # As if it had been taken in two at once: the batch that failed left nothing behind, also not in BatchNorm.
    assert train_epoch(job(tmp_path, options), twin, badge.train, 0, 2) == (loss, images, 2)
    assert equal_states(learner.learned, twin.learned)
    assert train_epoch(job(tmp_path, options), whole, badge.train, 0)[1:] == (32, 1)
    assert not equal_states(learner.learned, whole.learned)
    assert int(learner.model.state_dict()["trunk.stem.1.num_batches_tracked"]) == 4  # two a batch


def test_batches_before_the_one_that_does_not_fit_are_whole(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    learner = NodeLearner(options, 2, None)
    limit(learner.model, HALF, from_batch=1)
    assert train_epoch(job(tmp_path, options), learner, badge.train, 0)[2] == 2
    assert int(learner.model.state_dict()["trunk.stem.1.num_batches_tracked"]) == 1 + 2


def test_when_half_does_not_fit_either_it_is_said(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    learner = NodeLearner(options, 2, None)
    limit(learner.model, HALF - 1)
    with pytest.raises(
        OutOfMemory,
        match=r"^node 'badge' ran out of memory on cpu with batches of 16 pictures of 32 x 32 pixels, also in "
        r"micro-batches of 8: a smaller --batch or --size would do, or a device with more memory$",
    ):
        train_epoch(job(tmp_path, options), learner, badge.train, 0)


def test_another_error_is_not_taken_for_it(options: TrainingOptions, badge: TrainingData, tmp_path: Path) -> None:
    for parts in (1, 2):
        learner = NodeLearner(options, 2, None)

        def fail(*_: object) -> None:
            raise RuntimeError("CUDA error: device-side assert triggered")

        learner.model.embedder.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="device-side assert"):
            train_epoch(job(tmp_path, options), learner, badge.train, 0, parts)


def test_a_result_says_the_micro_batch_and_so_does_each_epoch(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, limited: Callable[..., None]
) -> None:
    limited(HALF, from_batch=2)  # two batches an epoch
    reports: list[EpochReport] = []
    result = train_node(job(tmp_path, replace(options, epochs=2)), badge, reports.append)
    assert [report.micro_batch for report in reports] == [BATCH, HALF]
    assert (result.status, result.micro_batch) == ("trained", HALF)


class Interrupted(Exception):
    """The process is stopped."""


def test_a_resumed_training_goes_on_in_micro_batches(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, limited: Callable[..., None]
) -> None:
    limited(HALF)
    expected = train_node(job(tmp_path / "whole", options), badge, lambda _: None)

    def stop(report: EpochReport) -> None:
        if report.epoch == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_node(job(tmp_path / "k", options), badge, stop)
    limited(BATCH)  # memory would suffice again
    result = train_node(job(tmp_path / "k", options), badge, lambda _: None)
    assert (result.checkpoint_sha256, result.micro_batch) == (expected.checkpoint_sha256, HALF)


def test_epochs_before_memory_ran_out_for_good_are_kept(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, limited: Callable[..., None]
) -> None:
    limited(BATCH)
    expected = train_node(job(tmp_path / "whole", options), badge, lambda _: None)
    limited(HALF - 1, from_batch=5)  # in the third epoch
    with pytest.raises(OutOfMemory, match="also in micro-batches of 8"):
        train_node(job(tmp_path / "k", options), badge, lambda _: None)
    limited(BATCH)  # on a whole GPU
    reports: list[EpochReport] = []
    result = train_node(job(tmp_path / "k", options), badge, reports.append)
    assert [report.epoch for report in reports if not report.earlier] == [2, 3]
    # The epoch that was not finished has left no trace.
    assert (result.checkpoint_sha256, result.micro_batch) == (expected.checkpoint_sha256, BATCH)


@pytest.mark.parametrize("where", ["step", "embed"])
def test_memory_that_runs_out_elsewhere_is_said_too(
    where: str, options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    if where == "step":
        monkeypatch.setattr(torch.optim.AdamW, "step", run_out)
    else:
        monkeypatch.setattr(NodeLearner, "embed", run_out)
    with pytest.raises(OutOfMemory, match=r"32 x 32 pixels: a smaller"):
        train_node(job(tmp_path, options), badge, lambda _: None)


def test_what_a_limited_training_learns_is_of_use(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, limited: Callable[..., None]
) -> None:
    limited(HALF)
    result = train_node(job(tmp_path, options), badge, lambda _: None)
    assert result.precision.at[1] is not None
    assert result.precision.at[1] >= 0.95  # the badge's colour is the label
    assert load_checkpoint(result.checkpoint)["trunk.stem.1.num_batches_tracked"] == 4 * (result.best_epoch + 1)
