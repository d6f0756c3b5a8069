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
from tasks.segments.compose import compose, present
from tasks.segments.file_name import file_name
from tasks.segments.pictures import decode_image, decode_label_map, encode_image
from tasks.segments.source import SPLITS
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
        folders = [[self.setting.folder / f"{side}-{number}" for number in range(2)] for side in ("ours", "theirs")]
        ours_left, theirs_left = (iter(of_side) for of_side in folders)

        def pictures_from_nothing() -> None:
            folder = next(theirs_left)
            self._write_pictures(folder)
            self._first_batches_of(folder)

        scratch = in_turns(lambda: self._first_batches(next(ours_left)), pictures_from_nothing, 1)
        decoded, pictures = (of_side[-1] for of_side in folders)
        store, ready, theirs = _bytes(self.store.path), _bytes(decoded), _bytes(pictures)
        for part, ours in (("store", store), ("store and decoded pictures", store + ready)):
            yield self._row(part, "bytes", counted(ours / theirs), "at most", 0.1, _mega(ours), _mega(theirs))
        further, folder = self._further_node(), theirs / len(self.tree.nodes)
        yield self._row(
            "data of one node more", "bytes", counted(further / folder), "at most", 0.0, _mega(further), _mega(folder)
        )
        yield self._timed("first batch of every node, from nothing", scratch)
        again = in_turns(
            lambda: self._first_batches(decoded), lambda: self._first_batches_of(pictures), self.setting.rounds
        )
        yield self._timed("first batch of every node, data made ready before", again)
        for folder_of in (*folders[0], *folders[1]):
            shutil.rmtree(folder_of)

    def _first_batches(self, decoded: Path) -> None:
        store = open_store(self.store.path)
        for node in self.tree.nodes:
            view = node_subject(node, store, self.options).data(store, decoded).train
            view.pictures(np.arange(min(self.options.batch, len(view))), "cpu")

    def _write_pictures(self, folder: Path) -> None:
        """Each photo is decoded once and composed for every node that it shows."""
        shown = [(folder / file_name(node.name), node.class_ids(self.store.classes)) for node in self.tree.nodes]
        for split in SPLITS:
            for row in self.store.iterate(split):
                image, label_map = (
                    torch.from_numpy(array.copy())[None]
                    for array in (decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id))
                )
                for of_node, class_ids in shown:
                    if present(label_map, class_ids).item():
                        path = of_node / split / file_name(row.label) / f"{file_name(row.image_id)}.png"
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(
                            encode_image(compose(image, label_map, class_ids, self.options.fill)[0].numpy())
                        )

    def _first_batches_of(self, folder: Path) -> None:
        size = self.options.size
        steps = transforms.Compose([transforms.Resize((size, size)), transforms.PILToTensor()])
        for node in self.tree.nodes:
            pictures = ImageFolder(folder / file_name(node.name) / "train", steps)
            next(iter(DataLoader(pictures, self.options.batch, shuffle=True, generator=torch.Generator())))

    def _further_node(self) -> int:
        """Bytes that the first leaf adds to what the others' data take."""
        decoded = self.setting.folder / "further"
        first, *others = self.tree.nodes
        for node in others:
            node_subject(node, self.store, self.options).data(self.store, decoded)
        before = _bytes(decoded)
        node_subject(first, self.store, self.options).data(self.store, decoded)
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
