from dataclasses import replace

import pytest

from tasks.bench.bench_setting import BenchSetting
from tasks.bench.whole_tree import WholeTreeBench
from tasks.metric.decision import decide
from tasks.metric.options import TrainingOptions
from tasks.metric.plan import finished_nodes
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def test_the_tree_s_time_and_precision_beside_the_traditional_model_s(
    setting: BenchSetting, store: SegmentStore, tree: SegmentTree, options: TrainingOptions
) -> None:
    few = replace(options, epochs=2, combined_epochs=1)
    bench = WholeTreeBench(setting=setting, store=store, tree=tree, options=few, traditional_epochs=(1, 2))
    time, best, equal = bench.rows()
    nodes = finished_nodes(tree, store, few, bench.nodes)
    assert {name: node.epochs for name, node in nodes.items()} == {
        "body": 2, "badge": 2, "spot": 0, "figure": 1, "root": 1
    }  # fmt: skip
    # All of it counts, averaging and judging among it.
    assert float(time.ours.split()[0]) >= round(sum(node.seconds for node in nodes.values()))
    assert (time.direction, time.goal) == ("at most", 1.67)
    decisions = decide(tree, store, nodes, "squared_euclidean")
    composed = decisions.chosen("root", "auto") == "composed"
    expected = (decisions.nodes["root"].composed if composed else nodes["root"].precision).at[1]
    assert expected is not None
    assert best.ours == equal.ours == f"{100 * expected:.1f} %"
    assert best.against.startswith("traditional to its best of trainings of 1, 2 epochs: epoch ")
    assert equal.against.startswith("traditional in the same time, ")
    assert best.ratio.median == pytest.approx(expected / (float(best.theirs.split()[0]) / 100), rel=1e-2)
