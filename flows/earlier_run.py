"""What an earlier run of the same training came to: a tree is not assembled, tracked and registered twice."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.parameters import TrainParameters
from infra.settings import Settings
from tasks.code_digest import code_digest
from tasks.metric.checkpoint import file_sha256
from tasks.metric.node_result import NodeResult
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree
from tasks.temporary_path import write_whole

OUTCOME = "outcome.json"


def run_digest(
    parameters: TrainParameters,
    settings: Settings,
    store: SegmentStore,
    tree: SegmentTree,
    results: Mapping[str, NodeResult],
) -> str:
    """Digest of all that a run's outcome depends on, once its nodes are trained.

    Args:
        parameters: of the run.
        settings: where it is tracked.
        store: the data; its segmenter and notes are copied, and no node depends on them.
        tree: the tree.
        results: every node's.
    """
    facts = {
        "nodes": {name: result.key for name, result in results.items()},
        "tree": tree.to_dict(),
        "store": [store.source, store.notes, _files(store.segmenter)],
        "asked": [parameters.decision, parameters.controls, parameters.register_model],
        "tracking": settings.tracking_uri,
        "code": code_digest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def earlier_outcome(out: Path, digest: str, settings: Settings) -> dict[str, Any] | None:
    """The outcome of an earlier run whose files are all there; None if there is none of this digest."""
    try:
        kept = json.loads((out / OUTCOME).read_text(encoding="utf-8"))
        outcome: dict[str, Any] = kept["outcome"]
        if kept["digest"] != digest:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    models = out / "model" / "nodes"
    trained = sum(node["status"] != "degenerate" for node in outcome["nodes"].values())
    if len(list(models.glob("*.safetensors"))) != trained:
        return None
    needed = [out / "model" / "tree.json", out / "report.html"]
    needed += [settings.nodes / key / "result.json" for key in outcome["controls"].values()]
    if settings.tracking_uri.startswith("sqlite:///"):
        needed.append(Path(settings.tracking_uri.removeprefix("sqlite:///")))
    if not all(path.is_file() for path in needed):
        return None
    nodes = {
        name: {**node, "status": "cached" if node["status"] == "trained" else node["status"]}
        for name, node in outcome["nodes"].items()
    }
    return {**outcome, "nodes": nodes, "out": str(out)}


def keep_outcome(out: Path, digest: str, outcome: Mapping[str, Any]) -> None:
    """Keep a run's outcome in its folder, whole or not at all."""
    write_whole(out / OUTCOME, json.dumps({"digest": digest, "outcome": outcome}, indent=1))


def _files(folder: Path | None) -> dict[str, str]:
    """Name to SHA-256 of a folder's files."""
    if folder is None:
        return {}
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
