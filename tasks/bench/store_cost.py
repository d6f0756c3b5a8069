"""What nodes' images cost: bytes on disk and seconds to the first batch, beside a folder of pictures for every node."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from tasks.bench.bench_row import BenchRow, Direction, counted
from tasks.bench.bench_setting import BenchSetting
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject
from tasks.paired_rounds import Ratio, Rounds, in_turns
from tasks.segments.export import export_node
from tasks.segments.file_name import file_name
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import SegmentTree

AGAINST = "a folder of PNGs a node"


@dataclass(frozen=True, kw_only=True)
class StoreBench:
    """A tree's nodes and their images.

    Attributes:
        setting: of the benchmark.
        store: the images.
        tree: whose nodes.
        options: of the tree's training.
    """

    setting: BenchSetting
    store: SegmentStore
    tree: SegmentTree
    options: TrainingOptions

    def rows(self) -> Iterator[BenchRow]:
        """Bytes of the store and of a further node, then seconds to the first batches, from nothing and made ready."""
        pictures, decoded = self.setting.folder / "all-pictures", self.setting.folder / "all-decoded"

        def from_nothing() -> None:
            shutil.rmtree(decoded, ignore_errors=True)
            self._first_batches(decoded)

        def pictures_from_nothing() -> None:
            shutil.rmtree(pictures, ignore_errors=True)
            self._write_pictures(pictures)
            self._first_batches_of(pictures)

        scratch = in_turns(from_nothing, pictures_from_nothing, 1)
        ours, theirs = _bytes(self.store.path), _bytes(pictures)
        yield self._row("store", "bytes", counted(ours / theirs), "at most", 0.1, _mega(ours), _mega(theirs))
        further, folder = self._further_node(decoded), theirs / len(self.tree.nodes)
        yield self._row(
            "data of one node more", "bytes", counted(further / folder), "at most", 0.0, _mega(further), _mega(folder)
        )
        yield self._timed("first batch of every node, from nothing", scratch)
        ready = in_turns(
            lambda: self._first_batches(decoded), lambda: self._first_batches_of(pictures), self.setting.rounds
        )
        yield self._timed("first batch of every node, data made ready before", ready)
        shutil.rmtree(pictures)

    def _first_batches(self, decoded: Path) -> None:
        store = open_store(self.store.path)
        for node in self.tree.nodes:
            view = node_subject(node, store, self.options).data(store, decoded).train
            view.pictures(np.arange(min(self.options.batch, len(view))), "cpu")

    def _write_pictures(self, folder: Path) -> None:
        for node in self.tree.nodes:
            export_node(self.store, node, self.options.fill, folder / file_name(node.name))

    def _first_batches_of(self, folder: Path) -> None:
        size = self.options.size
        steps = transforms.Compose([transforms.Resize((size, size)), transforms.PILToTensor()])
        for node in self.tree.nodes:
            pictures = ImageFolder(folder / file_name(node.name) / "train", steps)
            next(iter(DataLoader(pictures, self.options.batch, shuffle=True, generator=torch.Generator())))

    def _further_node(self, decoded: Path) -> int:
        """Bytes that the last node adds to what the others' data take."""
        before = _bytes(decoded)
        node_subject(self.tree.root, self.store, self.options).data(self.store, decoded)
        return _bytes(decoded) - before

    def _timed(self, part: str, rounds: Rounds) -> BenchRow:
        ours, theirs = (f"{median(seconds):.2f} s" for seconds in (rounds.ours, rounds.theirs))
        return self._row(part, "speed", rounds.speed, "at least", 5.0, ours, theirs, len(rounds.ours))

    def _row(
        self,
        part: str,
        measure: str,
        ratio: Ratio,
        direction: Direction,
        goal: float,
        ours: str,
        theirs: str,
        rounds: int = 1,
    ) -> BenchRow:
        photos = sum(self.store.rows(split) for split in ("train", "validation"))
        return BenchRow(
            part=part,
            against=AGAINST,
            measure=measure,
            ratio=ratio,
            rounds=rounds,
            direction=direction,
            goal=goal,
            ours=ours,
            theirs=theirs,
            setting=f"{len(self.tree.nodes)} nodes, {photos:,} photos, framing {self.options.framing}",
        )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _mega(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
