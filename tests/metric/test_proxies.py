"""Losses with parameters of their own, from the first epoch to the file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.losses import loss_family
from tasks.metric.model import load_model
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.training import train_node
from tasks.metric.training_data import training_data
from tasks.segments.store import SegmentStore

BADGE = (2,)


class Interrupted(Exception):
    """The process is stopped."""


def stop_after_the_third_epoch(report: EpochReport) -> None:
    if report.epoch == 2:
        raise Interrupted


@pytest.mark.parametrize(("loss", "vectors"), [("proxy_anchor", 2), ("subcenter_arcface", 6)])
def test_proxies_are_learned_saved_resumed_and_counted(
    loss: str, vectors: int, options: TrainingOptions, store: SegmentStore, decoded: Path, tmp_path: Path
) -> None:
    badge, proxied = training_data(store, BADGE, options, decoded), replace(options, loss=loss)

    def job(folder: str) -> NodeJob:
        return NodeJob(node="badge", key="k", folder=tmp_path / folder, options=proxied)

    result = train_node(job("whole"), badge, lambda _: None)
    own = load_checkpoint(tmp_path / "whole" / "loss.safetensors")
    assert sum(tensor.numel() for tensor in own.values()) == vectors * options.embedding
    model = load_model(proxied.model, load_checkpoint(result.checkpoint))
    assert result.parameters == vectors * options.embedding + sum(weights.numel() for weights in model.parameters())
    torch.manual_seed(options.seed)
    start = loss_family(loss).build(2, options.embedding).state_dict()
    assert not any(torch.equal(own[name], tensor) for name, tensor in start.items())

    with pytest.raises(Interrupted):
        train_node(job("again"), badge, stop_after_the_third_epoch)
    again = train_node(job("again"), badge, lambda _: None)
    assert again.checkpoint_sha256 == result.checkpoint_sha256


@pytest.mark.parametrize(("loss", "vectors"), [("proxy_anchor", 2), ("subcenter_arcface", 6)])
def test_labels_that_only_validation_has_get_no_proxies(
    loss: str, vectors: int, options: TrainingOptions, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    # By name "dawn" and "dusk" of validation stand among "day" and "night" of training.
    store = make_store(
        tmp_path / "store",
        change=lambda row: (
            row if row.split == "train" else replace(row, label={"day": "dawn", "night": "dusk"}[row.label])
        ),
    )
    badge = training_data(store, BADGE, options, tmp_path / "decoded")
    job = NodeJob(node="badge", key="k", folder=tmp_path / "node", options=replace(options, loss=loss))
    result = train_node(job, badge, lambda _: None)
    own = load_checkpoint(tmp_path / "node" / "loss.safetensors")
    assert sum(tensor.numel() for tensor in own.values()) == vectors * options.embedding
    # The new labels are the old ones' look, so they are told apart as well as those.
    assert result.precision.at[1] is not None and result.precision.at[1] > 0.9


def test_proxies_learn_thirty_times_as_fast(
    options: TrainingOptions, store: SegmentStore, decoded: Path, tmp_path: Path
) -> None:
    rate, steps = 1e-4, 2  # AdamW moves a number by about its rate in each of its first steps
    slow = replace(options, loss="proxy_anchor", epochs=1, learning_rate=rate)
    badge = training_data(store, BADGE, slow, decoded)
    train_node(NodeJob(node="badge", key="k", folder=tmp_path, options=slow), badge, lambda _: None)
    (own,) = load_checkpoint(tmp_path / "loss.safetensors").values()
    torch.manual_seed(slow.seed)
    (start,) = loss_family("proxy_anchor").build(2, slow.embedding).state_dict().values()
    assert len(badge.train) // slow.batch == steps
    assert 15 * rate * steps < (own - start).abs().max() < 31 * rate * steps


def test_a_loss_without_parameters_leaves_no_file(
    options: TrainingOptions, store: SegmentStore, decoded: Path, tmp_path: Path
) -> None:
    badge = training_data(store, BADGE, options, decoded)
    train_node(
        NodeJob(node="badge", key="k", folder=tmp_path, options=replace(options, epochs=1)), badge, lambda _: None
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.safetensors",
        "embeddings.safetensors",
        "epochs.json",
        "result.json",
    }
