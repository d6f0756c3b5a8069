"""Images a second of a node's training, beside the network's bare steps and beside the library's own trainer."""

import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.trainers import MetricLossOnly
from torch import Tensor, nn
from torchvision import transforms
from torchvision.datasets import ImageFolder

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.metric.batches import balanced_batches
from tasks.metric.fitting import fit
from tasks.metric.input_scale import IMAGENET_MEAN, IMAGENET_STD
from tasks.metric.losses import loss_family
from tasks.metric.model import build_model, normalise
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject
from tasks.metric.torch_threads import torch_threads
from tasks.metric.training import NodeLearner
from tasks.metric.training_data import NodeView, TrainingData
from tasks.mixed_precision import mixed_precision, native_bfloat16
from tasks.paired_rounds import Rounds, in_turns, ratio_over
from tasks.segments.export import export_node
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode

PART = "training loop of a node"


@dataclass(frozen=True, kw_only=True)
class LoopBench:
    """A node, and what its training is timed on.

    Attributes:
        setting: of the benchmark.
        store: the images.
        node: the node.
        options: how it is trained; one epoch a round.
    """

    setting: BenchSetting
    store: SegmentStore
    node: TreeNode
    options: TrainingOptions

    def rows(self) -> Iterator[BenchRow]:
        """Beside the bare steps, and beside the library's trainer in our precision and its own; then the preparing."""
        precision = "bfloat16" if native_bfloat16(self.setting.device) else "float32"
        with torch_threads(self.setting.threads):
            ours, images = self._ours()
            bare = in_turns(ours, self._bare(), self.setting.rounds)
            yield self._row(bare, images, f"bare steps of the same network in {precision}, pictures in memory", 0.90)
            equal = in_turns(ours, self._library(mixed=True), self.setting.rounds)
            yield self._row(equal, images, f"MetricLossOnly, PNG folders, {precision}", 1.2)
            shipped = in_turns(ours, self._library(mixed=False), self.setting.rounds)
            yield self._row(shipped, images, "MetricLossOnly, PNG folders, as shipped (float32)", 1.7)
            yield self._preparing(median(bare.ours))

    def _ours(self) -> tuple[Callable[[], None], int]:
        """An epoch of `fit`: batches, augmentation, miner, loss, steps, report, checkpoint; and its images."""
        data = self._data()
        learner = NodeLearner(self.options, data.train.data.label_count, None)
        log = self.setting.folder / "log.jsonl"

        def report(epoch: EpochReport) -> None:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(epoch.to_dict()) + "\n")

        def epoch() -> None:
            with tempfile.TemporaryDirectory(dir=self.setting.folder) as folder:
                job = NodeJob(node=self.node.name, key="bench", folder=Path(folder), options=self.options)
                fit(job, data, lambda: learner, report)
                self.setting.settle()

        return epoch, len(data.train) // self.options.batch * self.options.batch

    def _bare(self) -> Callable[[], None]:
        view, options = self._data().train, self.options
        order = balanced_batches(view.labels, options.batch, np.random.default_rng(options.seed))
        composed = [normalise(view.pictures(positions, options.device)) for positions in order]
        model = build_model(options.model).to(options.device).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate)

        def steps() -> None:
            for pictures in composed:
                optimiser.zero_grad()
                with mixed_precision(options.device):
                    embeddings = model(pictures)
                torch.autograd.backward(embeddings.square().mean())
                optimiser.step()
            self.setting.settle()

        return steps

    def _library(self, *, mixed: bool) -> Callable[[], None]:
        """The same model, loss, miner, batches and mirroring; pictures are read from a folder a label."""
        folder = self.setting.folder / "pictures"
        if not folder.exists():
            export_node(self.store, self.node, self.options.fill, folder)
            for path in folder.rglob("*.png"):  # once, of the size that they are trained at
                with Image.open(path) as picture:
                    resized = picture.resize((self.options.size, self.options.size), Image.Resampling.BILINEAR)
                resized.save(path)
        options, family = self.options, loss_family(self.options.loss)
        steps = [transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        pictures = ImageFolder(
            folder / "train", transforms.Compose([*steps, transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])
        )
        model: nn.Module = build_model(options.model)
        if mixed:
            model = _Mixed(model, options.device)
        share = options.batch // len(pictures.classes)
        trainer = MetricLossOnly(
            models={"trunk": model.to(options.device), "embedder": nn.Identity()},
            optimizers={"trunk_optimizer": torch.optim.AdamW(model.parameters(), lr=options.learning_rate)},
            batch_size=options.batch,
            loss_funcs={"metric_loss": family.build(len(pictures.classes), options.embedding)},
            mining_funcs={"tuple_miner": family.miner()},
            dataset=pictures,
            data_device=torch.device(options.device),
            sampler=MPerClassSampler(pictures.targets, share, options.batch, len(self._data().train)),
        )

        def epoch() -> None:
            with redirect_stderr(StringIO()), warnings.catch_warnings():  # its progress bar, and what torch says of it
                warnings.simplefilter("ignore")
                trainer.train()
            self.setting.settle()

        return epoch

    def _preparing(self, epoch: float) -> BenchRow:
        """How long a node whose pictures are decoded looks for its own among them, beside its training."""
        training, seconds = TrainingOptions().epochs * epoch, []
        for _ in range(self.setting.rounds):
            started = time.perf_counter()
            self._data()
            seconds.append(time.perf_counter() - started)
        return BenchRow(
            part="preparing a node's data",
            against=f"its training, {TrainingOptions().epochs} epochs",
            measure="seconds",
            ratio=ratio_over([taken / training for taken in seconds]),
            rounds=self.setting.rounds,
            direction="at most",
            goal=0.01,
            ours=f"{median(seconds):.3f} s",
            theirs=f"{training:.0f} s",
            setting=self._described(),
        )

    def _data(self) -> TrainingData:
        """The node's images, none of them to evaluate on."""
        data = node_subject(self.node, self.store, self.options).data(self.store, self.setting.folder / "decoded")
        return replace(data, held_out=_none_of(data.held_out), validation=_none_of(data.validation))

    def _row(self, rounds: Rounds, images: int, against: str, goal: float) -> BenchRow:
        ours, theirs = (f"{images / median(seconds):.0f} images/s" for seconds in (rounds.ours, rounds.theirs))
        return BenchRow(
            part=PART,
            against=against,
            measure="images a second",
            ratio=rounds.speed,
            rounds=self.setting.rounds,
            direction="at least",
            goal=goal,
            ours=ours,
            theirs=theirs,
            setting=f"{self._described()}, {images} images an epoch",
        )

    def _described(self) -> str:
        return f"{self.options.trunk}, {self.options.size} px, batches of {self.options.batch}"


class _Mixed(nn.Module):
    """A model in mixed precision, as ours are."""

    def __init__(self, model: nn.Module, device: str) -> None:
        super().__init__()
        self.model, self.device = model, device

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings, float32."""
        with mixed_precision(self.device):
            return self.model(pictures)  # type: ignore[no-any-return]


def _none_of(view: NodeView) -> NodeView:
    return replace(view, indices=view.indices[:0])
