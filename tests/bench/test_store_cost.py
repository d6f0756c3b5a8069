from dataclasses import replace
from pathlib import Path

import pytest

from tasks.bench.bench_setting import BenchSetting
from tasks.bench.store_cost import StoreBench
from tasks.metric.options import TrainingOptions
from tasks.segments.export import export_node
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.*") if path.is_file())


@pytest.fixture
def bench(setting: BenchSetting, store: SegmentStore, tree: SegmentTree, options: TrainingOptions) -> StoreBench:
    return StoreBench(setting=setting, store=store, tree=tree, options=options)


def test_bytes_and_first_batches(bench: StoreBench, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = StoreBench._write_pictures

    def weighed(self: StoreBench, folder: Path) -> None:
        write(self, folder)
        written.append(size_of(folder))

    monkeypatch.setattr(StoreBench, "_write_pictures", weighed)
    stored, with_decoded, further, scratch, ready = bench.rows()
    assert with_decoded.ratio.median > stored.ratio.median
    assert stored.ratio.median == pytest.approx(size_of(bench.store.path) / written[-1])
    assert (further.ratio.median, further.goal, further.direction) == (0.0, 0.0, "at most")
    assert (scratch.direction, scratch.goal, ready.goal) == ("at least", 5.0, 5.0)
    assert (scratch.rounds, ready.rounds) == (1, bench.setting.rounds)
    assert ready.setting == "5 nodes, 56 photos, framing full"
    assert not list(bench.setting.folder.glob("theirs-*"))


def test_a_crop_is_data_of_its_own(bench: StoreBench, options: TrainingOptions) -> None:
    cropped = replace(bench, options=replace(options, framing="crop"))
    # A leaf's crops: the pictures and label maps of 56 drawings, 4 bytes a pixel, and what else is kept of them.
    assert cropped._further_node() > 56 * 4 * 32 * 32


def test_the_pictures_are_those_that_export_writes(bench: StoreBench, tree: SegmentTree, tmp_path: Path) -> None:
    bench._write_pictures(tmp_path / "all")
    for node in tree.nodes:
        export_node(bench.store, node, bench.options.fill, tmp_path / "exported" / node.name)
    ours, theirs = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}
        for folder in (tmp_path / "all", tmp_path / "exported")
    )
    assert len(ours) > 100
    assert ours == theirs
