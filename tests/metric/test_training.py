from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import nn

from tasks.errors import InputError
from tasks.metric import checkpoint, fitting, training, training_epoch
from tasks.metric.checkpoint import file_sha256, load_checkpoint
from tasks.metric.epoch_choice import standard_error
from tasks.metric.losses import LossFamily
from tasks.metric.model import build_model, embed, load_model, normalise
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import read_result
from tasks.metric.options import TrainingOptions
from tasks.metric.training import train_node
from tasks.metric.training_data import TrainingData, training_data
from tasks.mixed_precision import mixed_precision
from tasks.segments.store import SegmentStore

BADGE, BODY, SPOT = (2,), (1,), (3,)


class Interrupted(Exception):
    """The process is stopped."""


def stop_after(epoch: int) -> Callable[[EpochReport], None]:
    def on_epoch(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise Interrupted

    return on_epoch


@pytest.fixture(scope="module")
def badge(store: SegmentStore, options: TrainingOptions, decoded: Path) -> TrainingData:
    return training_data(store, BADGE, options, decoded)


def job(folder: Path, options: TrainingOptions, **fields: object) -> NodeJob:
    return NodeJob(node="badge", key="k", folder=folder, options=options, **fields)  # type: ignore[arg-type]


class Uninterrupted:
    """One whole training, with what it left after each epoch."""

    def __init__(self, folder: Path, options: TrainingOptions, data: TrainingData) -> None:
        self.reports: list[EpochReport] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.folder = folder
        self.result = train_node(job(folder, options), data, self._on_epoch)

    def _on_epoch(self, report: EpochReport) -> None:
        self.reports.append(report)
        state = load_checkpoint(self.folder / "last.safetensors")
        model = {name: value for name, value in state.items() if name.startswith("model.")}
        self.weights.append({name.removeprefix("model."): value for name, value in model.items()})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, options: TrainingOptions, badge: TrainingData) -> Uninterrupted:
    return Uninterrupted(tmp_path_factory.mktemp("whole") / "k", options, badge)


def test_the_leaf_that_shows_the_label_is_found_and_the_other_is_not(grown: Any) -> None:
    badge, body = grown.results["badge"].precision, grown.results["body"].precision
    assert badge.at[1] >= 0.95
    assert body.at[1] <= 0.8  # chance is 7 / 15
    assert badge.n == body.n == 16


def test_an_epoch_s_report(whole: Uninterrupted, options: TrainingOptions) -> None:
    assert [report.epoch for report in whole.reports] == list(range(options.epochs))
    for report in whole.reports:
        expected = options.learning_rate * (1 + np.cos(np.pi * report.epoch / options.epochs)) / 2
        assert report.learning_rate == pytest.approx(expected)
        assert (report.held_out.n, report.validation.n) == (3, 16)
        assert report.images_per_second > 0
    assert whole.reports[-1].loss < whole.reports[0].loss


def test_the_weights_of_the_latest_epoch_as_good_as_any_on_the_held_out_tenth_are_kept(whole: Uninterrupted) -> None:
    scores = np.array(
        [np.mean([value for value in report.held_out.at.values() if value is not None]) for report in whole.reports]
    )
    close = scores >= scores.max() - standard_error(scores.max(), whole.reports[0].held_out.n)
    best = int(np.flatnonzero(close)[-1])
    assert whole.result.best_epoch == best
    kept = load_checkpoint(whole.result.checkpoint)
    assert all(torch.equal(whole.weights[best][name], tensor) for name, tensor in kept.items())


def test_what_a_training_leaves(whole: Uninterrupted, options: TrainingOptions, badge: TrainingData) -> None:
    result = whole.result
    assert (result.node, result.key, result.status, result.reason) == ("badge", "k", "trained", "")
    assert (result.epochs, result.train_images) == (4, 33)
    assert result.checkpoint_sha256 == file_sha256(result.checkpoint)
    assert result.area == pytest.approx(22 * 20 / 48**2, rel=0.02)
    assert result.images_per_second == pytest.approx(4 * 2 * 16 / result.seconds)  # 33 // 16 batches an epoch
    assert result.peak_memory > 10_000_000
    assert result.micro_batch == options.batch == 16
    assert {entry.name for entry in whole.folder.iterdir()} == {
        "best.safetensors",
        "embeddings.safetensors",
        "epochs.json",
        "result.json",
    }
    assert read_result(whole.folder) == result
    batches = load_checkpoint(result.checkpoint)["trunk.stem.1.num_batches_tracked"]
    assert batches == 2 * (result.best_epoch + 1)  # BatchNorm learned from every batch, and from no other picture
    kept = load_checkpoint(result.embeddings)
    assert kept["validation_indices"].tolist() == badge.validation.indices.tolist() == list(range(16))
    assert kept["held_out_indices"].tolist() == badge.held_out.indices.tolist()
    again = load_model(options.model, load_checkpoint(result.checkpoint))
    for name, view in (("validation", badge.validation), ("held_out", badge.held_out)):
        assert torch.equal(kept[name], embed(again, view.batches("cpu"), "cpu"))
    calculator = AccuracyCalculator(
        include=("precision_at_1",), k=1, knn_func=CustomKNN(LpDistance(normalize_embeddings=True))
    )
    labels = torch.arange(16) % 2  # the drawings' labels alternate
    expected = calculator.get_accuracy(kept["validation"], labels)["precision_at_1"]
    assert result.precision.at[1] == pytest.approx(expected)


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_resumed_training_ends_with_the_same_weights(
    epoch: int, whole: Uninterrupted, options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train_node(job(tmp_path, options), badge, stop_after(epoch))
    assert read_result(tmp_path) is None
    reports: list[EpochReport] = []
    torch.manual_seed(99)
    result = train_node(job(tmp_path, options), badge, reports.append)
    # Those of the first try as well: it may have ended before they were told.
    assert [(report.epoch, report.earlier) for report in reports] == [(n, n <= epoch) for n in range(options.epochs)]
    assert [report.loss for report in reports] == [report.loss for report in whole.reports]
    assert [report.validation for report in reports] == [report.validation for report in whole.reports]
    assert result.checkpoint_sha256 == whole.result.checkpoint_sha256
    assert file_sha256(result.embeddings) == file_sha256(whole.result.embeddings)
    assert (result.precision, result.best_epoch) == (whole.result.precision, whole.result.best_epoch)


@pytest.mark.parametrize("damage", [b"nonsense", b""])
def test_a_damaged_state_starts_anew(
    damage: bytes, whole: Uninterrupted, options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train_node(job(tmp_path, options), badge, stop_after(1))
    (tmp_path / "last.safetensors").write_bytes(damage)
    reports: list[EpochReport] = []
    result = train_node(job(tmp_path, options), badge, reports.append)
    assert [report.epoch for report in reports] == list(range(options.epochs))
    assert result.checkpoint_sha256 == whole.result.checkpoint_sha256


def test_damaged_best_weights_of_an_interrupted_training_are_made_again(
    whole: Uninterrupted, options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train_node(job(tmp_path, options), badge, stop_after(options.epochs - 1))
    (tmp_path / "best.safetensors").write_bytes(b"nonsense")
    result = train_node(job(tmp_path, options), badge, lambda _: None)
    assert result.checkpoint_sha256 == whole.result.checkpoint_sha256


def test_a_finished_node_is_returned_without_training(whole: Uninterrupted, badge: TrainingData) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.folder.iterdir()}
    reports: list[EpochReport] = []
    again = train_node(job(whole.folder, TrainingOptions()), badge, reports.append)
    assert again == whole.result
    assert reports == [replace(report, earlier=True) for report in whole.reports]
    assert {path: path.stat().st_mtime_ns for path in whole.folder.iterdir()} == before


def test_a_changed_checkpoint_is_trained_again(options: TrainingOptions, badge: TrainingData, tmp_path: Path) -> None:
    quick = replace(options, epochs=1)
    first = train_node(job(tmp_path, quick), badge, lambda _: None)
    data = bytearray(first.checkpoint.read_bytes())
    data[-1] ^= 1
    first.checkpoint.write_bytes(data)
    reports: list[EpochReport] = []
    second = train_node(job(tmp_path, quick), badge, reports.append)
    assert len(reports) == 1
    assert second.checkpoint_sha256 == first.checkpoint_sha256 == file_sha256(second.checkpoint)


def test_threads_of_one_process_start_from_the_same_weights(options: TrainingOptions) -> None:
    # The engine `threads` builds several nodes' models at once, and torch's random state belongs to the process.
    expected = build_model(options.model).state_dict()
    with ThreadPoolExecutor(4) as pool:
        for built in pool.map(lambda _: build_model(options.model).state_dict(), range(8)):
            assert all(torch.equal(expected[name], tensor) for name, tensor in built.items())


def test_a_trunk_that_draws_random_numbers_is_repeatable_too(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    # EfficientNet drops whole branches at random while it trains.
    quick, digests = replace(options, trunk="efficientnet_b0", epochs=1), []
    for seed in (1, 2):
        torch.manual_seed(seed)  # whatever ran before in this process
        result = train_node(job(tmp_path / str(seed), quick), badge, lambda _: None)
        digests.append(result.checkpoint_sha256)
    assert digests[0] == digests[1]


def test_a_node_starts_from_the_given_weights(
    whole: Uninterrupted, options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    start = {name: tensor + 0.25 * tensor.is_floating_point() for name, tensor in whole.weights[-1].items()}
    still = replace(options, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    result = train_node(job(tmp_path, still, start=start), badge, lambda _: None)
    kept = load_checkpoint(result.checkpoint)
    for name, tensor in kept.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(tensor, start[name], rtol=0, atol=1e-6)


def test_every_epoch_has_batches_and_changes_of_its_own(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    augment, seen = training_epoch.augment, []

    def watched(images: torch.Tensor, *args: Any) -> torch.Tensor:
        seen.append((args[-1].initial_seed(), images.sum().item()))
        return augment(images, *args)

    monkeypatch.setattr(training_epoch, "augment", watched)
    for seed in (0, 1):
        train_node(job(tmp_path / str(seed), replace(options, epochs=3, seed=seed)), badge, lambda _: None)
    assert len({seeds for seeds, _ in seen}) == 6  # one an epoch
    assert len({pictures for _, pictures in seen}) == 12  # two batches an epoch


def test_an_epoch_by_hand(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    augment, balanced_batches = training_epoch.augment, training_epoch.balanced_batches
    pictures: list[torch.Tensor] = []
    positions: list[np.ndarray] = []

    def watched_augment(*args: Any) -> torch.Tensor:
        pictures.append(augment(*args))
        return pictures[-1]

    def watched_batches(*args: Any) -> list[np.ndarray]:
        positions.extend(balanced_batches(*args))
        return positions

    monkeypatch.setattr(training_epoch, "augment", watched_augment)
    monkeypatch.setattr(training_epoch, "balanced_batches", watched_batches)
    result = train_node(job(tmp_path, replace(options, epochs=1)), badge, lambda _: None)
    model = build_model(options.model).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    loss, miner = TripletMarginLoss(0.1, distance=LpDistance(normalize_embeddings=True)), MultiSimilarityMiner(0.1)
    for batch, own in zip(pictures, positions, strict=True):
        labels = torch.from_numpy(badge.train.labels[own])
        optimiser.zero_grad()
        with mixed_precision("cpu"):
            embeddings = model(normalise(batch))
        loss(embeddings, labels, miner(embeddings, labels)).backward()
        optimiser.step()
    kept = load_checkpoint(result.checkpoint)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(kept[name], tensor, rtol=1e-5, atol=1e-6)


def test_without_held_out_images_the_last_epoch_is_kept(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    data = replace(badge, held_out=badge.held_out.subset(np.zeros(40, dtype=np.bool_)))
    result = train_node(job(tmp_path, replace(options, epochs=2, patience=1)), data, lambda _: None)
    assert (result.epochs, result.best_epoch, result.held_out_precision_at_1) == (2, 1, None)


def test_a_degenerate_node_is_a_result_and_is_not_trained(
    store: SegmentStore, options: TrainingOptions, decoded: Path, tmp_path: Path
) -> None:
    data = training_data(store, SPOT, options, decoded)
    reports: list[EpochReport] = []
    for _ in range(2):
        result = train_node(job(tmp_path, options), data, reports.append)
        assert result.status == "degenerate"
        assert result.reason == "5 training images of the label 'day' show it; 8 are needed"
        assert (result.checkpoint_sha256, result.held_out_precision_at_1) == (None, None)
        assert set(result.precision.at.values()) == {None}
        assert result.precision.n == 4
    assert reports == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


class NotANumber(nn.Module):
    """A loss that is NaN from the n-th batch on."""

    def __init__(self, loss: nn.Module, batches: list[int], first: int) -> None:
        super().__init__()
        self.loss, self.batches, self.first = loss, batches, first

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, mined: object) -> torch.Tensor:
        self.batches[0] += 1
        value: torch.Tensor = self.loss(embeddings, labels, mined)
        return value * (torch.nan if self.batches[0] >= self.first else 1)


def test_a_loss_that_is_no_number_is_named_and_the_epochs_before_are_kept(
    whole: Uninterrupted, options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, batches = training.loss_family("triplet"), [0]
    build = lambda *sizes: NotANumber(family.build(*sizes), batches, first=6)  # noqa: E731  # of 2 an epoch
    broken: LossFamily = replace(family, build=build)
    with monkeypatch.context() as patch:
        patch.setattr(training, "loss_family", lambda name: broken)
        with pytest.raises(InputError, match=r"loss of node 'badge' is not a number in epoch 2: lower the learning r"):
            train_node(job(tmp_path, options), badge, lambda _: None)
    reports: list[EpochReport] = []
    result = train_node(job(tmp_path, options), badge, reports.append)
    assert [(report.epoch, report.earlier) for report in reports] == [(0, True), (1, True), (2, False), (3, False)]
    assert result.checkpoint_sha256 == whole.result.checkpoint_sha256


@pytest.mark.parametrize("batch", [16, 32])
def test_a_learning_rate_that_is_far_too_high_is_wrong_input(
    batch: int, options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    # With one batch an epoch, the first numbers that are none are those of the evaluation.
    with pytest.raises(InputError, match=r"'badge'.*lower the learning rate"):
        train_node(job(tmp_path, replace(options, learning_rate=1e30, batch=batch)), badge, lambda _: None)


@pytest.mark.parametrize("write", [3, 4])
def test_a_full_disk_leaves_the_epochs_before(
    write: int,
    whole: Uninterrupted,
    options: TrainingOptions,
    badge: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_file, writes = checkpoint.save_file, [0]

    def save_until_full(tensors: object, path: Path, metadata: object) -> None:
        writes[0] += 1
        if writes[0] >= write:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save_file(tensors, path, metadata)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", save_until_full)
        with pytest.raises(OSError, match="No space"):
            train_node(job(tmp_path, options), badge, lambda _: None)
    assert {entry.name for entry in tmp_path.iterdir()} == {"best.safetensors", "last.safetensors"}
    reports: list[EpochReport] = []
    result = train_node(job(tmp_path, options), badge, reports.append)
    assert reports[0].earlier
    assert [report.epoch for report in reports] == list(range(options.epochs))
    assert result.checkpoint_sha256 == whole.result.checkpoint_sha256


def test_torch_s_settings_are_as_before(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic
    seen: list[tuple[int, bool]] = []

    def look(*_: object) -> None:
        seen.append((torch.get_num_threads(), torch.backends.cudnn.deterministic))
        raise Interrupted

    monkeypatch.setattr(fitting, "_fit", look)
    with pytest.raises(Interrupted):
        train_node(job(tmp_path, replace(options, threads=2)), badge, lambda _: None)
    assert seen == [(2, True)]
    assert (torch.get_num_threads(), torch.backends.cudnn.deterministic) == before
