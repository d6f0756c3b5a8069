"""Which epoch is kept, and when the loop ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.metric import fitting, training
from tasks.metric.evaluation import Precision
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.training import train_node
from tasks.metric.training_data import TrainingData, training_data
from tasks.segments.store import SegmentStore


@pytest.fixture(scope="module")
def badge(store: SegmentStore, options: TrainingOptions, decoded: Path) -> TrainingData:
    return training_data(store, (2,), options, decoded)


def job(folder: Path, options: TrainingOptions) -> NodeJob:
    return NodeJob(node="badge", key="k", folder=folder, options=options)


def test_training_stops_when_patience_epochs_in_a_row_are_worse_than_the_best(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.25, 1.0, 0.9, 0.5, 0.5, 0.5, 1.0])  # of 3 images: the error of the best is 0.18
    monkeypatch.setattr(Precision, "mean", property(lambda held_out: next(scores)))
    result = train_node(job(tmp_path, replace(options, epochs=12, patience=3)), badge, lambda _: None)
    assert (result.best_epoch, result.epochs) == (2, 6)


def test_the_score_of_an_epoch_is_the_mean_over_k(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = training.evaluate
    figures = iter([{1: 0.9, 2: 0.1, 8: None}, {1: 0.8, 2: 0.8, 8: None}, {1: 1.0, 2: 0.1, 8: None}])

    def scripted(embeddings: torch.Tensor, *args: Any, **options: Any) -> Precision:
        real = evaluate(embeddings, *args, **options)
        return replace(real, at=next(figures, real.at)) if real.n == len(badge.held_out) else real

    monkeypatch.setattr(training, "evaluate", scripted)
    assert train_node(job(tmp_path, replace(options, epochs=3)), badge, lambda _: None).best_epoch == 1


def test_kernels_are_deterministic_until_the_last_training_that_shares_the_process_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    first, second = fitting._deterministic_kernels(), fitting._deterministic_kernels()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.backends.cudnn.deterministic
    second.__exit__(None, None, None)
    assert not torch.backends.cudnn.deterministic
