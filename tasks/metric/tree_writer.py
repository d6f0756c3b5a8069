"""Writing a trained tree's folder: whole, or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.decision import DecisionChoice, TreeDecision, label_numbers
from tasks.metric.evaluation import distance_quantiles
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.same_label import same_label_quantiles
from tasks.metric.trained_tree import TREE_VERSION
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree
from tasks.temporary_path import check_replaceable, temporary_path


def write_trained_tree(
    folder: Path,
    tree: SegmentTree,
    store: SegmentStore,
    options: TrainingOptions,
    results: Mapping[str, NodeResult],
    decisions: TreeDecision,
    choice: DecisionChoice,
    facts: Mapping[str, Any],
) -> None:
    """Write a trained tree's folder anew. Files that can be linked are not copied.

    Args:
        folder: the folder.
        tree: the tree.
        store: the data that it was trained on.
        options: how its nodes were trained.
        results: every node's.
        decisions: the composed decisions beside the nodes' own.
        choice: which of the root's is the tree's; "auto" takes the one that the held-out images prefer.
        facts: what else to keep; plain values.

    Raises:
        InputError: a checkpoint is missing or damaged, or the folder holds something else than a trained tree.
    """
    labels = label_numbers(store, "validation")
    with _written_whole(folder) as temporary:
        nodes = {}
        for number, node in enumerate(tree.nodes):
            result = results[node.name]
            composed = decisions.nodes.get(node.name)
            fields: dict[str, Any] = {
                "status": result.status,
                "reason": result.reason,
                "file": None,
                "sha256": result.checkpoint_sha256,
                "framing": result.framing,
                "size": result.size,
                "precision": asdict(result.precision),
                "composed": composed and asdict(composed.composed),
                "weight": decisions.weights.get(node.name, 0.0),
                "quantiles": [],
                "same_label_quantiles": [],
            }
            if result.status == "trained":
                fields["file"] = f"nodes/{number:02d}.safetensors"
                load_checkpoint(result.checkpoint, result.checkpoint_sha256)  # there and whole
                _link(result.checkpoint, temporary / fields["file"])
                kept = load_checkpoint(result.embeddings)
                fields["quantiles"] = _rounded(distance_quantiles(kept["validation"]))
                same = same_label_quantiles(kept["validation"], labels[kept["validation_indices"]])
                fields["same_label_quantiles"] = _rounded(same)
            nodes[node.name] = fields
        description = {
            "version": TREE_VERSION,
            "source": store.source,
            "store_digest": store.digest,
            "classes": store.classes,
            "tree": tree.to_dict(),
            "options": asdict(options),
            "nodes": nodes,
            "decision": decisions.chosen(tree.root.name, choice),
            "composed_quantiles": _rounded(decisions.quantiles),
            "facts": dict(facts),
        }
        if store.segmenter:
            shutil.copytree(store.segmenter, temporary / "segmenter", copy_function=_link)
        (temporary / "tree.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


@contextmanager
def _written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write to that takes the other's place at the end, or leaves it as it was."""
    check_replaceable(folder, "tree.json")
    temporary, former = temporary_path(folder), temporary_path(folder)
    (temporary / "nodes").mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            folder.rename(former)
        temporary.rename(folder)
    except BaseException:
        if former.exists() and not folder.exists():
            former.rename(folder)
        raise
    finally:
        for path in (temporary, former):
            shutil.rmtree(path, ignore_errors=True)


def _rounded(quantiles: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 6) for value in quantiles]


def _link(source: str | Path, target: str | Path) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
    return str(target)
