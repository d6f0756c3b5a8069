from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric import avsl_similarity
from tasks.metric.avsl_loss import proxy_anchor_loss
from tasks.metric.avsl_model import AVSLModel, build_avsl
from tasks.metric.avsl_similarity import Similarity
from tasks.metric.avsl_training import AVSLLearner, avsl_precision, train_avsl
from tasks.metric.checkpoint import file_sha256, load_checkpoint, save_checkpoint
from tasks.metric.model import normalise
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import NodeResult, finished_result, read_result
from tasks.metric.options import TrainingOptions
from tasks.metric.small_trunk import small_trunk
from tasks.metric.training_data import NodeView, TrainingData, training_data
from tasks.mixed_precision import mixed_precision
from tasks.segments.store import SegmentStore

BADGE, BODY, SPOT = (2,), (1,), (3,)
KEY = "k"


class Interrupted(Exception):
    """The process is stopped."""


def stop_after(epoch: int) -> Callable[[EpochReport], None]:
    def on_epoch(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise Interrupted

    return on_epoch


def job(folder: Path, options: TrainingOptions, **fields: object) -> NodeJob:
    return NodeJob(node="AVSL", key=KEY, folder=folder, options=options, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def badge(store: SegmentStore, options: TrainingOptions, decoded: Path) -> TrainingData:
    return training_data(store, BADGE, options, decoded)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, options: TrainingOptions, badge: TrainingData
) -> tuple[NodeResult, list[EpochReport]]:
    reports: list[EpochReport] = []
    return train_avsl(job(tmp_path_factory.mktemp("avsl") / KEY, options), badge, reports.append), reports


def model_of(result: NodeResult, options: TrainingOptions) -> AVSLModel:
    model = build_avsl(options.model, labels=2)
    model.load_state_dict(load_checkpoint(result.checkpoint))
    return model


@torch.no_grad()
def lead(model: AVSLModel, view: NodeView) -> Tensor:
    """How much farther the other label's proxy is than an image's own, the mean over images, at each level: [l]."""
    embeddings, certain, _ = model.eval()(normalise(view.pictures(np.arange(len(view)), "cpu")))
    own = torch.from_numpy(view.labels)[:, None]
    _, levels = model.to_proxies(embeddings, certain)
    return torch.stack([(level.gather(1, 1 - own) - level.gather(1, own)).mean() for level in levels])


def test_it_finds_the_badge_and_not_the_body(
    trained: tuple[NodeResult, list[EpochReport]],
    store: SegmentStore,
    options: TrainingOptions,
    badge: TrainingData,
    decoded: Path,
    tmp_path: Path,
) -> None:
    result, reports = trained
    assert result.precision.at[1] is not None
    assert result.precision.at[1] >= 0.95
    body = train_avsl(job(tmp_path, options), training_data(store, BODY, options, decoded), lambda _: None)
    assert body.precision.at[1] is not None
    assert body.precision.at[1] <= 0.8  # chance is 7 / 15
    assert reports[-1].loss < reports[0].loss / 10


def test_what_it_learns_is_in_the_proxies_of_every_level(options: TrainingOptions, badge: TrainingData) -> None:
    learner = AVSLLearner(options, 2, None)
    assert (lead(learner.model, badge.validation).abs() < 0.3).all()
    pictures = normalise(badge.train.pictures(np.arange(len(badge.train)), "cpu"))
    learner.start_epoch(0)
    for _ in range(12):
        learner.optimiser.zero_grad()
        learner.loss(learner.forward(pictures), torch.from_numpy(badge.train.labels)).backward()  # type: ignore[no-untyped-call]
        learner.optimiser.step()
    assert (lead(learner.model, badge.validation) > 0.8).all()


def test_a_loss_is_the_sum_over_levels_and_the_final_distance(options: TrainingOptions, badge: TrainingData) -> None:
    learner, twin = (AVSLLearner(options, 2, None) for _ in range(2))
    pictures = normalise(badge.train.pictures(np.arange(8), "cpu"))
    labels = torch.from_numpy(badge.train.labels[:8])
    for made in (learner, twin):
        made.start_epoch(0)
    loss = learner.loss(learner.forward(pictures), labels)
    with mixed_precision("cpu"):
        embeddings, certain, maps = twin.model(pictures)
    twin.model.similarity.update_links(maps)  # of this batch, before its distances
    proxies = torch.nn.functional.normalize(twin.model.proxies, dim=2)
    expected = sum(
        proxy_anchor_loss((embeddings[:, None, level] - proxies[None, :, level]).square().sum(dim=2), labels)
        for level in range(3)
    )
    final, _ = twin.model.to_proxies(embeddings, certain)
    torch.testing.assert_close(loss, expected + proxy_anchor_loss(final, labels))
    assert torch.equal(learner.model.similarity.links, twin.model.similarity.links)
    assert learner.model.similarity.links.abs().sum() > 0


def test_what_a_training_leaves(
    trained: tuple[NodeResult, list[EpochReport]], options: TrainingOptions, badge: TrainingData
) -> None:
    result, reports = trained
    assert (result.node, result.key, result.status, result.epochs) == ("AVSL", KEY, "trained", len(reports))
    assert finished_result(Path(result.folder), KEY) == result
    assert {path.name for path in Path(result.folder).iterdir()} == {
        "best.safetensors",
        "embeddings.safetensors",
        "epochs.json",
        "result.json",
    }
    model, kept = model_of(result, options), load_checkpoint(result.embeddings)
    assert result.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert model.similarity.batches == 2 * (result.best_epoch + 1)
    for name, view in (("validation", badge.validation), ("held_out", badge.held_out)):
        assert kept[f"{name}_indices"].tolist() == view.indices.tolist()
        assert kept[name].shape == kept[f"{name}_certainties"].shape == (len(view), 3 * options.embedding)
    embeddings, certain = (
        kept[name].unflatten(1, (3, options.embedding)) for name in ("validation", "validation_certainties")
    )
    torch.testing.assert_close(embeddings.norm(dim=2), torch.ones(16, 3))
    with torch.no_grad(), mixed_precision("cpu"):
        again, certain_again, _ = model.eval()(normalise(badge.validation.pictures(np.arange(16), "cpu")))
    assert torch.equal(embeddings, again)
    assert torch.equal(certain, certain_again)
    labels = torch.from_numpy(badge.validation.labels)
    assert avsl_precision(model.similarity, embeddings, certain, labels) == result.precision
    assert result.precision.intervals[1] is not None
    validation = reports[result.best_epoch].validation
    assert (validation.at, validation.intervals[1]) == (result.precision.at, None)


def test_evaluation_leaves_links_and_running_statistics(options: TrainingOptions, badge: TrainingData) -> None:
    learner = AVSLLearner(options, 2, None)
    learner.start_epoch(0)
    outputs = learner.forward(normalise(badge.train.pictures(np.arange(8), "cpu")))
    learner.loss(outputs, torch.from_numpy(badge.train.labels[:8]))
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    embedded = learner.embed(badge.validation)
    learner.precision(embedded, torch.from_numpy(badge.validation.labels), intervals=False)
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.model.state_dict().items())


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_resumed_training_ends_with_the_same_weights(
    epoch: int,
    trained: tuple[NodeResult, list[EpochReport]],
    options: TrainingOptions,
    badge: TrainingData,
    tmp_path: Path,
) -> None:
    whole, whole_reports = trained
    with pytest.raises(Interrupted):
        train_avsl(job(tmp_path, options), badge, stop_after(epoch))
    assert read_result(tmp_path) is None
    reports: list[EpochReport] = []
    torch.manual_seed(99)
    result = train_avsl(job(tmp_path, options), badge, reports.append)
    assert [report.loss for report in reports] == [report.loss for report in whole_reports]
    assert [report.earlier for report in reports] == [number <= epoch for number in range(len(whole_reports))]
    assert result.checkpoint_sha256 == whole.checkpoint_sha256
    assert file_sha256(result.embeddings) == file_sha256(whole.embeddings)
    assert (result.precision, result.best_epoch) == (whole.precision, whole.best_epoch)


def test_another_seed_gives_other_weights_and_a_finished_one_is_returned(
    trained: tuple[NodeResult, list[EpochReport]], options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    whole, whole_reports = trained
    other = train_avsl(job(tmp_path, replace(options, seed=1, epochs=1)), badge, lambda _: None)
    assert other.checkpoint_sha256 != whole.checkpoint_sha256
    reports: list[EpochReport] = []
    assert train_avsl(job(Path(whole.folder), options), badge, reports.append) == whole
    assert reports == [replace(report, earlier=True) for report in whole_reports]


def weights_after_each_epoch(folder: Path, options: TrainingOptions, data: TrainingData) -> list[dict[str, Tensor]]:
    weights = []
    train_avsl(job(folder, options), data, lambda report: weights.append(load_checkpoint(folder / "last.safetensors")))
    return weights


def test_a_pretrained_trunk_rests_in_the_warm_up_and_its_batch_norm_always(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    start = {name: tensor + 0.5 * ("running" in name) for name, tensor in small_trunk().state_dict().items()}
    save_checkpoint(tmp_path / "small.safetensors", start)
    pretrained = replace(options, weights=str(tmp_path / "small.safetensors"))
    first, second, third, _ = weights_after_each_epoch(tmp_path / KEY, pretrained, badge)
    for name, tensor in start.items():
        changes = [not torch.equal(weights[f"trunk.{name}"], tensor) for weights in (first, second, third)]
        is_norm = ".bn" in name or "stem.1" in name or "skip.1" in name
        assert changes == [False, False, not is_norm], name
    for learned in ("proxies", "similarity.alpha", "embedders.0.project.weight"):
        assert not torch.equal(first[learned], second[learned])


def test_warm_up_takes_five_epochs_and_at_most_half(options: TrainingOptions, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "small.safetensors", small_trunk().state_dict())
    pretrained = replace(options, weights=str(tmp_path / "small.safetensors"))
    for epochs, expected in ((1, 0), (4, 2), (10, 5), (60, 5)):
        learner = AVSLLearner(replace(pretrained, epochs=epochs), 2, None)
        rests = []
        for epoch in range(epochs):
            learner.start_epoch(epoch)
            rests.append(not learner.model.trunk.layer1.conv1.weight.requires_grad)  # type: ignore[union-attr]
        assert sum(rests) == expected
        assert all(rests[:expected])


def test_a_random_trunk_and_its_batch_norm_learn_from_the_first_epoch(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    first = weights_after_each_epoch(tmp_path, replace(options, epochs=1), badge)[0]
    start = build_avsl(options.model, labels=2).state_dict()
    for name, tensor in start.items():
        assert not torch.equal(first[name], tensor), name


def test_proxies_alpha_and_beta_learn_thirty_times_as_fast(options: TrainingOptions) -> None:
    learner = AVSLLearner(options, 2, None)
    slow, fast = learner.optimiser.param_groups
    assert (slow["factor"], fast["factor"], slow["weight_decay"]) == (1.0, 30.0, options.weight_decay)
    similarity = learner.model.similarity
    assert {id(own) for own in fast["params"]} == {id(learner.model.proxies), id(similarity.alpha), id(similarity.beta)}
    assert len(slow["params"]) + len(fast["params"]) == len(list(learner.model.parameters()))
    assert learner.gradient_limit == 10


def test_it_starts_from_given_weights(options: TrainingOptions, badge: TrainingData, tmp_path: Path) -> None:
    start = {name: tensor + 0.25 * tensor.is_floating_point() for name, tensor in
             build_avsl(options.model, labels=2).state_dict().items()}  # fmt: skip
    still = replace(options, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    result = train_avsl(job(tmp_path, still, start=start), badge, lambda _: None)
    torch.testing.assert_close(load_checkpoint(result.checkpoint)["proxies"], start["proxies"], rtol=0, atol=1e-6)


def test_a_degenerate_job_is_a_result_and_is_not_trained(
    store: SegmentStore, options: TrainingOptions, decoded: Path, tmp_path: Path
) -> None:
    reports: list[EpochReport] = []
    result = train_avsl(job(tmp_path, options), training_data(store, SPOT, options, decoded), reports.append)
    assert (result.status, result.checkpoint_sha256, reports) == ("degenerate", None, [])
    assert result.reason == "5 training images of the label 'day' show it; 8 are needed"


def test_a_trunk_without_the_levels_is_wrong_input(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="got trunk 'vgg11': one of small, efficientnet_lite0, resnet12"):
        train_avsl(job(tmp_path / KEY, replace(options, trunk="vgg11")), badge, lambda _: None)
    assert not (tmp_path / KEY).exists()


def test_a_learning_rate_that_is_far_too_high_is_wrong_input(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"'AVSL'.*lower the learning rate"):
        train_avsl(job(tmp_path, replace(options, learning_rate=1e30)), badge, lambda _: None)


def test_without_held_out_images_the_last_epoch_is_kept(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    data = replace(badge, held_out=badge.held_out.subset(np.zeros(40, dtype=np.bool_)))
    result = train_avsl(job(tmp_path, replace(options, epochs=2)), data, lambda _: None)
    assert (result.best_epoch, result.held_out_precision_at_1) == (1, None)


def test_a_resnet_trains_too_where_its_last_map_is_one_position(
    options: TrainingOptions, badge: TrainingData, tmp_path: Path
) -> None:
    result = train_avsl(job(tmp_path, replace(options, trunk="resnet18", epochs=1)), badge, lambda _: None)
    certain = load_checkpoint(result.embeddings)["validation_certainties"].unflatten(1, (3, 16))
    assert (certain[:, 2] == 0).all()
    assert (certain[:, 0] > 0).all()


@pytest.mark.parametrize("numbers", [1, 13 * 4 * 3, 2**21])
def test_precision_by_loops_also_where_images_are_equal(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avsl_similarity, "NUMBERS_AT_ONCE", numbers)
    generator = torch.Generator().manual_seed(0)
    similarity = Similarity(3, 4)
    with torch.no_grad():
        similarity.links.copy_(torch.randn(2, 4, 4, generator=generator))
    embeddings = torch.nn.functional.normalize(torch.randn(13, 3, 4, generator=generator), dim=2)
    certain = torch.rand(13, 3, 4, generator=generator)
    embeddings[12], certain[12] = embeddings[0], certain[0]  # tied for all others, and at distance 0 of each other
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 2, 1, 1])
    got = avsl_precision(similarity, embeddings, certain, labels)
    distances, _ = similarity(*(part.double() for part in (embeddings, certain, embeddings, certain)))
    for k in (1, 2, 8):
        shares = []
        for query in range(13):
            orders = []  # the two equal images one way round, and the other
            for sign in (1, -1):
                others = [other for other in range(13) if other != query]
                ranked = sorted(others, key=lambda o: (round(distances[query, o].item(), 6), sign * o))
                orders.append(np.mean([labels[o] == labels[query] for o in ranked[:k]]))
            shares.append(np.mean(orders))
        assert got.at[k] == pytest.approx(np.mean(shares))
        assert got.intervals[k] is not None
    assert got.n == 13


@pytest.mark.parametrize(("n", "known"), [(0, []), (1, []), (2, [1]), (3, [1, 2]), (8, [1, 2]), (9, [1, 2, 8])])
def test_p_at_k_is_none_where_there_are_k_images_or_fewer(n: int, known: list[int]) -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(n, 3, 4), dim=2)
    got = avsl_precision(Similarity(3, 4), embeddings, embeddings.abs(), torch.zeros(n, dtype=torch.long))
    assert {k: value for k, value in got.at.items() if value is not None} == dict.fromkeys(known, 1.0)
    assert got.n == n
