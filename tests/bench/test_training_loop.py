from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks.bench import training_loop
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.training_loop import LoopBench
from tasks.metric.model import EmbeddingModel
from tasks.metric.options import TrainingOptions
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


@pytest.fixture
def bench(setting: BenchSetting, store: SegmentStore, tree: SegmentTree, options: TrainingOptions) -> LoopBench:
    return LoopBench(
        setting=setting, store=store, node=tree["badge"], options=replace(options, epochs=1, augmentation="mirror")
    )


def test_our_loop_is_set_beside_the_bare_steps_and_twice_beside_the_library(bench: LoopBench) -> None:
    threads = torch.get_num_threads()
    *rows, preparing = bench.rows()
    assert (preparing.direction, preparing.goal) == ("at most", 0.01)
    assert 0 < preparing.ratio.median < 10
    assert [row.goal for row in rows] == [0.90, 1.2, 1.7]
    assert ["MetricLossOnly" in row.against for row in rows] == [False, True, True]
    # 18 of 20 drawings of each label show a badge; a tenth of them is held out; batches of 16.
    assert {row.setting for row in rows} == {"small, 32 px, batches of 16, 32 images an epoch"}
    for row in rows:  # the ratio is of the speeds that are shown, in one round each
        ours, theirs = (float(shown.split()[0]) for shown in (row.ours, row.theirs))
        assert row.ratio.median == pytest.approx(ours / theirs, rel=0.05)
    assert torch.get_num_threads() == threads


def test_all_sides_train_as_many_pictures_of_the_same_size(
    bench: LoopBench, monkeypatch: pytest.MonkeyPatch, setting: BenchSetting
) -> None:
    seen: list[tuple[int, ...]] = []
    forward = EmbeddingModel.forward

    def watched(self: EmbeddingModel, pictures: torch.Tensor) -> torch.Tensor:
        if self.training:
            seen.append(tuple(pictures.shape))
        return forward(self, pictures)

    monkeypatch.setattr(EmbeddingModel, "forward", watched)
    counts = {}
    for name, side in {
        "ours": bench._ours()[0],
        "bare": bench._bare(),
        "mixed": bench._library(mixed=True),
        "shipped": bench._library(mixed=False),
    }.items():
        seen.clear()
        side()
        counts[name] = list(seen)
    assert counts["ours"] == [(16, 3, 32, 32)] * 2
    assert all(found == counts["ours"] for found in counts.values()), counts


def test_what_is_trained_learns(bench: LoopBench, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[EmbeddingModel] = []
    build = training_loop.build_model

    def kept(*args: object) -> EmbeddingModel:
        made.append(build(*args))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(training_loop, "build_model", kept)
    for side in (bench._bare, lambda: bench._library(mixed=True)):
        run = side()
        before = made[-1].embedder[0].weight.clone()  # type: ignore[union-attr]
        run()
        assert not torch.equal(made[-1].embedder[0].weight, before)  # type: ignore[arg-type]


def test_the_log_has_a_line_an_epoch(bench: LoopBench, setting: BenchSetting) -> None:
    epoch, images = bench._ours()
    for _ in range(3):
        epoch()
    assert images == 32
    assert len(Path(setting.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 3
