import json
import subprocess
import sys
from dataclasses import replace

import pytest

from tasks.bench import method_bench
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.method_bench import METHOD_PARTS, MethodBench
from tasks.segments.portraits import PortraitSpec
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def test_without_a_store_portraits_are_drawn_once_and_all_their_parts_paired(
    setting: BenchSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_bench, "SPEC", PortraitSpec(train=8, validation=4, size=32))
    bench = MethodBench(setting=replace(setting, seed=5))
    store, tree = bench.data()
    assert (store.rows("train"), store.rows("validation")) == (8, 4)
    assert len(tree.leaves) == 11
    assert "background" not in {leaf.name for leaf in tree.leaves}
    assert bench.data()[0].digest == store.digest
    assert (
        MethodBench(setting=replace(setting, seed=6, folder=setting.folder / "other")).data()[0].digest != store.digest
    )


def test_a_given_store_and_tree_are_taken(setting: BenchSetting, store: SegmentStore, tree: SegmentTree) -> None:
    assert MethodBench(setting=setting, store=store, tree=tree).data() == (store, tree)


def test_a_part_runs_from_the_command_line_without_typer_or_an_engine(store: SegmentStore) -> None:
    absent = ["prefect", "dask", "distributed", "mlflow", "typer", "rich"]
    blocked = f"import sys; sys.modules.update(dict.fromkeys({absent}));"
    arguments = ["tasks.bench", "--parts", "store", "--rounds", "1", "--store", str(store.path)]
    code = f"{blocked} sys.argv = {arguments!r}; import runpy; runpy.run_module('tasks.bench', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    first = "first batch of every node"
    assert [row["part"].split(",")[0] for row in rows] == [
        "store", "store and decoded pictures", "data of one node more", first, first
    ]  # fmt: skip
    assert set(METHOD_PARTS) == {"loop", "store", "precision", "segmenting", "memory", "tree"}
