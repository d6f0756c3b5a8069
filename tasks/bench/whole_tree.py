"""A whole tree beside one model on full images: time and P@1 (HEML, Table II; "traditional" there)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.bench.bench_row import BenchRow, counted
from tasks.bench.bench_setting import BenchSetting
from tasks.errors import InputError
from tasks.metric.decision import decide
from tasks.metric.losses import loss_family
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject, traditional_baseline
from tasks.metric.train_here import train_here
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree

PAPER_RATIO = 1.67  # CelebA; 1.75 and 2.5 for the other two studies (HEML, Table II)
PART = "a whole tree"


@dataclass(frozen=True, kw_only=True)
class WholeTreeBench:
    """A tree and the traditional model, trained on the same images, one after the other on one core or GPU.

    Attributes:
        setting: of the benchmark.
        store: the images.
        tree: the tree.
        options: of its training.
        traditional_epochs: lengths of its trainings. Its best is the one with the highest P@1 of them, of which
            that epoch is kept that is best on held-out images.
    """

    setting: BenchSetting
    store: SegmentStore
    tree: SegmentTree
    options: TrainingOptions
    traditional_epochs: tuple[int, ...]

    @property
    def nodes(self) -> Path:
        """Folder of the nodes' results."""
        return self.setting.folder / "nodes"

    def rows(self) -> Iterator[BenchRow]:
        """Time beside the traditional model's to its best, P@1 beside that best, and beside its best in as much."""
        for node in self.tree.nodes:  # both sides begin with pictures that are decoded
            node_subject(node, self.store, self.options).data(self.store, self._decoded)
        tried = [self._traditional(epochs) for epochs in self.traditional_epochs]
        best = max(tried, key=lambda one: (one.precision, -one.seconds))
        started = time.perf_counter()
        results = train_here(self.tree, self.store, self.options, self.nodes, self._decoded)
        tree = self._precision(results)
        seconds = time.perf_counter() - started
        lengths = ", ".join(map(str, self.traditional_epochs))
        against = f"traditional to its best of trainings of {lengths} epochs: epoch {best.epoch} of {best.epochs}"
        yield self._row(against, "training time", seconds / best.seconds, f"{seconds:.0f} s", f"{best.seconds:.0f} s")
        yield self._row(against, "P@1", tree / best.precision, _percent(tree), _percent(best.precision))
        epochs = max(1, round(seconds / best.seconds_an_epoch))
        equal = self._traditional(epochs)
        against = f"traditional in the same time, {epochs} epochs"
        yield self._row(against, "P@1", tree / equal.precision, _percent(tree), _percent(equal.precision))

    @property
    def _decoded(self) -> Path:
        return self.setting.folder / "decoded"

    def _traditional(self, epochs: int) -> "_Traditional":
        """Train it for so many epochs; the learning rate falls over all of them."""
        options = replace(self.options, epochs=epochs, patience=epochs)  # stopped early, it would not be at its best
        subject, ended = traditional_baseline(options), [time.perf_counter()]

        def on_epoch(_: EpochReport) -> None:
            ended.append(time.perf_counter())

        key = subject.key(self.store)
        data = subject.data(self.store, self._decoded)
        job = NodeJob(node=subject.name, key=key, folder=self.nodes / key, options=subject.options)
        ended[0] = time.perf_counter()
        result = subject.train(job, data, on_epoch)
        precision = result.precision.at[1]
        if precision is None or result.status != "trained":
            raise InputError(f"the full images cannot be learned from: {result.reason or 'too few to judge by'}")
        return _Traditional(
            epochs=epochs,
            epoch=result.best_epoch + 1,
            seconds=ended[result.best_epoch + 1] - ended[0],
            seconds_an_epoch=(ended[-1] - ended[0]) / result.epochs,
            precision=precision,
        )

    def _precision(self, results: dict[str, NodeResult]) -> float:
        """P@1 by the tree's default decision."""
        decisions = decide(self.tree, self.store, results, loss_family(self.options.loss).own_distance)
        root = self.tree.root.name
        composed = decisions.chosen(root, "auto") == "composed"
        found = (decisions.nodes[root].composed if composed else results[root].precision).at[1]
        return found or 0.0

    def _row(self, against: str, measure: str, ratio: float, ours: str, theirs: str) -> BenchRow:
        timed = measure == "training time"
        options = self.options
        return BenchRow(
            part=f"{PART}, {len(self.tree.nodes)} nodes",
            against=against,
            measure=measure,
            ratio=counted(ratio),
            rounds=1,
            direction="at most" if timed else "at least",
            goal=PAPER_RATIO if timed else 1.0,
            ours=ours,
            theirs=theirs,
            setting=(
                f"{options.trunk}, {options.size} px, framing {options.framing}, {options.epochs} epochs a leaf, "
                f"{options.combined_epochs or options.epochs} a combined node"
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Traditional:
    epochs: int
    epoch: int
    seconds: float
    seconds_an_epoch: float
    precision: float


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
