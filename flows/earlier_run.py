"""What an earlier run of the same training came to: a tree is not assembled, tracked and registered twice."""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flows.parameters import TrainParameters
from infra.settings import Settings
from tasks.metric.node_result import NodeResult
from tasks.segments.tree import SegmentTree

ROOMS = Path(__file__).parent.parent
OUTCOME = "outcome.json"


def run_digest(
    parameters: TrainParameters, settings: Settings, tree: SegmentTree, results: Mapping[str, NodeResult]
) -> str:
    """Digest of all that a run's outcome depends on, once its nodes are trained.

    Args:
        parameters: of the run.
        settings: where it is tracked.
        tree: the tree.
        results: every node's.
    """
    facts = {
        "nodes": {name: result.key for name, result in results.items()},
        "tree": tree.to_dict(),
        "decision": parameters.decision,
        "controls": parameters.controls,
        "tracking": settings.tracking_uri,
        "code": _code(),
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
    needed = [out / "model" / "tree.json", out / "report.html"]
    if settings.tracking_uri.startswith("sqlite:///"):
        needed.append(Path(settings.tracking_uri.removeprefix("sqlite:///")))
    if not all(path.is_file() for path in needed):
        return None
    nodes = {
        name: {**node, "status": "cached" if node["status"] == "trained" else node["status"]}
        for name, node in outcome["nodes"].items()
    }
    return {**outcome, "nodes": nodes}


def keep_outcome(out: Path, digest: str, outcome: Mapping[str, Any]) -> None:
    """Keep a run's outcome in its folder, whole or not at all."""
    temporary = out / f".{OUTCOME}.{os.getpid()}"
    temporary.write_text(json.dumps({"digest": digest, "outcome": outcome}, indent=1), encoding="utf-8")
    temporary.replace(out / OUTCOME)


@cache
def _code() -> str:
    """Digest of everything that makes a report or a model from results: code and templates."""
    digest = hashlib.sha256()
    for path in sorted((ROOMS / "tasks").rglob("*")):
        if path.suffix in (".py", ".html", ".css", ".js"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
