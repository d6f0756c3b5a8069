"""Prefect tasks that end a training: the trained tree's folder, its report, and the registered model."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task

from infra.tracking import open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import post_markdown, post_table
from tasks.explanation.additive import AdditiveFit, fit_additive
from tasks.explanation.markdown import markdown_text
from tasks.explanation.report_page import write_report
from tasks.explanation.tree_report import tree_report
from tasks.metric.controls import judge_controls
from tasks.metric.decision import DecisionChoice, TreeDecision, decide, node_embeddings
from tasks.metric.evaluation import Precision, precision_by_chance
from tasks.metric.losses import loss_family
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.tree_writer import write_trained_tree
from tasks.segments.store import open_store
from tasks.segments.tree import SegmentTree, parse_tree
from tasks.training_run import TrainingRun

MODEL_CODE = Path(__file__).parent / "pair_model.py"


@task(name="assemble-tree", task_run_name="assemble", tags=["report"])
def assemble(
    run: TrainingRun,
    results: list[dict[str, Any]],
    cached: list[str],
    controls: list[dict[str, Any]],
    choice: DecisionChoice,
    out: str,
) -> str:
    """Write the trained tree's folder and the report page.

    Args:
        run: what all nodes shared.
        results: every node's `NodeResult.to_dict`.
        cached: names of the nodes that an earlier run trained.
        controls: the controls' results, likewise; empty where none were asked for.
        choice: which of the root's two decisions is the tree's, or "auto".
        out: folder for `model/` and `report.html`.

    Returns:
        The trained tree's folder.

    Raises:
        InputError: a checkpoint is missing or damaged.
    """
    store, options, tree = open_store(Path(run.store)), TrainingOptions(**run.options), parse_tree(run.tree)
    by_name = {fields["node"]: NodeResult.from_dict(fields) for fields in results}
    decisions = decide(tree, store, by_name, loss_family(options.loss).own_distance)
    additive = _additive(tree, by_name, decisions)
    model = Path(out) / "model"
    model.parent.mkdir(parents=True, exist_ok=True)
    beside = judge_controls(tree, store, options, by_name, [NodeResult.from_dict(fields) for fields in controls])
    facts = {
        "additive": asdict(additive) if additive else None,
        "chance": precision_by_chance(store.labels["validation"]),
        "controls": {name: asdict(found) for name, found in beside.items()},
    }
    write_trained_tree(model, tree, store, options, by_name, decisions, choice, facts)
    report = tree_report(tree, store, options, by_name, decisions, beside, cached, additive, Path(run.decoded))
    write_report(report, Path(out) / "report.html")
    tracker = open_tracker(run.tracking)
    tracker.log_artifact(run.parent_run_id, Path(out) / "report.html", "report")
    tracker.log_dict(run.parent_run_id, {name: result.to_dict() for name, result in by_name.items()}, "nodes.json")
    root = by_name[tree.root.name]
    figures = root.precision.figures()
    if tree.root.name in decisions.nodes:
        composed = decisions.nodes[tree.root.name].composed.figures()
        figures |= {f"composed_{name}": value for name, value in composed.items()}
    tracker.log_metrics(
        run.parent_run_id, {name: value for name, value in figures.items() if value is not None}, step=0
    )
    _post(tree, by_name, decisions, cached, Path(out) / "report.html", report.notes)
    return str(model)


@task(name="register-model", task_run_name="register", tags=["report"])
def register(run: TrainingRun, model: str, score: float | None) -> str:
    """Register the trained tree as one model; the alias `champion` moves only to a better one.

    A tree that is registered already, to the byte, keeps its version.

    Args:
        run: what all nodes shared.
        model: the trained tree's folder.
        score: the root's P@1, by which models of one data set are compared.

    Returns:
        The model's address, `models:/NAME/VERSION`.
    """
    tracker = open_tracker(run.tracking)
    name = f"heml-{artifact_key(run.experiment)}"
    described = json.loads((Path(model) / "tree.json").read_text(encoding="utf-8"))
    del described["facts"]  # they follow from the rest, to the last bit but one
    digest = hashlib.sha256(MODEL_CODE.read_bytes() + json.dumps(described, sort_keys=True).encode()).hexdigest()
    return tracker.register_model(run.parent_run_id, name, MODEL_CODE, {"tree": model}, score, digest=digest)


def _additive(tree: SegmentTree, results: dict[str, NodeResult], decisions: TreeDecision) -> AdditiveFit | None:
    if results[tree.root.name].status == "degenerate":
        return None
    _, root = node_embeddings(results[tree.root.name])
    leaves = {name: node_embeddings(results[name])[1] for name in decisions.weights}
    return fit_additive(leaves, decisions.weights, root)


def _post(
    tree: SegmentTree,
    results: dict[str, NodeResult],
    decisions: TreeDecision,
    cached: Sequence[str],
    report: Path,
    notes: Sequence[str],
) -> None:
    """The flow's artifacts: a table of P@K a level, and where the report is."""
    for level in range(tree.root.level + 1):
        rows = []
        for node in tree.nodes:
            if node.level == level:
                result = results[node.name]
                composed = decisions.nodes[node.name].composed if node.name in decisions.nodes else None
                figures = _figures("", result.precision) | (_figures("composed ", composed) if composed else {})
                status = result.shown_status(cached=node.name in cached)
                rows.append({"node": node.name, **figures, "n": result.precision.n, "status": status})
        post_table(key=artifact_key("level", str(level)), table=rows, description=f"P@K at level {level}")
    head = [f"# {markdown_text(tree.root.name)}", "", f"Report: {markdown_text(str(report))}", ""]
    lines = [*head, *(f"* {markdown_text(note)}" for note in notes)]
    post_markdown(key="report", markdown="\n".join(lines), description="the report of this run")


def _figures(decision: str, precision: Precision) -> dict[str, str]:
    return {f"{decision}P@{k}": "-" if value is None else f"{value:.3f}" for k, value in precision.at.items()}
