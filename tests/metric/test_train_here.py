import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.metric.checkpoint import file_sha256
from tasks.metric.train_here import train_here


def test_every_node_is_trained_once_children_first(grown: Any) -> None:
    names = [node.name for node in grown.tree.nodes]
    assert list(grown.results) == names
    assert {name for name, result in grown.results.items() if result.status == "trained"} == set(names) - {"spot"}
    before = {name: result.checkpoint.stat().st_mtime_ns for name, result in grown.results.items() if name != "spot"}
    again = train_here(grown.tree, grown.store, grown.options, grown.nodes, grown.decoded)
    assert again == grown.results
    assert {name: again[name].checkpoint.stat().st_mtime_ns for name in before} == before


def test_other_options_for_combined_nodes_leave_the_leaves_as_they_are(grown: Any, tmp_path: Path) -> None:
    few = replace(grown.options, combined_epochs=1)
    nodes = shutil.copytree(grown.nodes, tmp_path / "nodes")
    results = train_here(grown.tree, grown.store, few, nodes, grown.decoded)
    same = [name for name, result in results.items() if result.key == grown.results[name].key]
    assert same == [leaf.name for leaf in grown.tree.leaves]
    root = results["root"]
    assert (root.epochs, grown.results["root"].epochs) == (1, 4)
    assert file_sha256(root.checkpoint) == root.checkpoint_sha256
