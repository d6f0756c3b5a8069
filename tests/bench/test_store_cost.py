from dataclasses import replace
from pathlib import Path

import pytest

from tasks.bench.bench_setting import BenchSetting
from tasks.bench.store_cost import StoreBench
from tasks.metric.options import TrainingOptions
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
    stored, further, scratch, ready = bench.rows()
    assert stored.ratio.median == pytest.approx(size_of(bench.store.path) / written[-1])
    assert (further.ratio.median, further.goal, further.direction) == (0.0, 0.0, "at most")
    assert (scratch.direction, scratch.goal, ready.goal) == ("at least", 5.0, 5.0)
    assert scratch.ratio.median > 0
    assert ready.setting == "5 nodes, 56 photos, framing full"
    assert not (bench.setting.folder / "all-pictures").exists()


def test_a_crop_is_data_of_its_own(bench: StoreBench, options: TrainingOptions) -> None:
    cropped = replace(bench, options=replace(options, framing="crop"))
    cropped._first_batches(bench.setting.folder / "decoded")
    whole = replace(bench, options=options)
    assert whole._further_node(bench.setting.folder / "decoded") == 0
