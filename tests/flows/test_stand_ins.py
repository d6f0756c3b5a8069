"""The flow with nodes that sleep, in processes of their own, beside the best schedule."""

import json
from pathlib import Path

import pytest

from flows import bench_orchestration
from flows.bench_orchestration import orchestration_rows
from flows.stand_ins import stand_in_run
from flows.trees import preset_tree
from infra.settings import load_settings
from tasks.segments.tree import parse_tree

TREE = parse_tree({"tree": [["a", "b"], "c"], "names": {"d": ["a", "b"]}})


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_nodes_sleep_and_parents_wait(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, engine="threads", device="cpu", workers=2)
    run = stand_in_run(TREE, {node.name: 0.5 for node in TREE.nodes}, settings)
    assert set(run.nodes) == {"a", "b", "c", "d", "root"}
    assert all(0.5 <= seconds < 2 for seconds in run.nodes.values())
    # Two at once at most, and the chain is three long.
    assert run.seconds >= 1.5


def test_the_flow_is_compared_with_the_best_schedule_of_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {node.name: 10.0 for node in preset_tree("celeba").nodes}
    printed = "a line of another\n" + json.dumps({"seconds": 166.2, "nodes": nodes})
    asked: list[object] = []

    def run(arguments: list[str], home: Path, settings: dict[str, str]) -> str:
        asked.append((arguments, home, settings))
        return printed

    monkeypatch.setattr(bench_orchestration, "run_python", run)
    efficiency, cost = orchestration_rows(tmp_path)
    # 31 nodes of 10 s on two workers: 15 pairs and the root.
    assert efficiency.ratio.median == pytest.approx(160 / 166.2)
    assert efficiency.reached
    assert cost.ratio.median == pytest.approx(2 * 6.2 / 31 / 0.2)
    assert cost.ours == "0.40 s"
    assert asked == [
        (["-m", "flows.bench_orchestration"], tmp_path, {"ENGINE": "local", "WORKERS": "2", "DEVICE": "cpu"})
    ]
