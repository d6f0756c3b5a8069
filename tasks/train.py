"""Prefect tasks that train a tree: decode the data once, then one task run a node."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.schemas import State
from prefect.runtime import flow_run, task_run
from prefect.states import Completed

from infra.tracking import Tracker, open_tracker
from tasks.artifact_keys import artifact_key
from tasks.explanation.node_sheet import write_node_sheet
from tasks.metric.averaging import average_weights
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.identity import node_identity, node_key
from tasks.metric.model import load_model
from tasks.metric.node_options import node_options
from tasks.metric.node_result import NodeResult, finished_result, write_result
from tasks.metric.options import TrainingOptions
from tasks.metric.plan import averaging_weights
from tasks.metric.training import EpochReport, NodeJob, train_node
from tasks.metric.training_data import TrainingData, training_data
from tasks.segments.decoded import CropTo, decode_once
from tasks.segments.source import SPLITS
from tasks.segments.store import open_store
from tasks.segments.tree import TreeNode, parse_tree


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What all nodes of one run share: plain values, small enough to send with every task.

    Attributes:
        store: folder of the segment store.
        tree: the tree as `SegmentTree.to_dict` gives it.
        options: fields of the `TrainingOptions`.
        nodes: folder of the nodes' results; every worker sees it.
        decoded: folder of a machine's decoded splits.
        tracking: address of the tracking store.
        experiment: name of the experiment, one a data set.
        parent_run_id: the flow's run in the tracking store.
    """

    store: str
    tree: Mapping[str, Any]
    options: Mapping[str, Any]
    nodes: str
    decoded: str
    tracking: str
    experiment: str
    parent_run_id: str


@task(name="decode-store", task_run_name="decode", tags=["data"])
def decode_store(run: TrainingRun) -> int:
    """Decode both splits into this machine's memory-mapped arrays, unless it was done before.

    Returns:
        Number of images.

    Raises:
        InputError: the store is not whole, or a picture of it cannot be decoded.
    """
    store = open_store(Path(run.store))
    options = TrainingOptions(**run.options)
    crops: dict[int, set[CropTo]] = defaultdict(set)
    for node in parse_tree(run.tree).nodes:
        class_ids = node.class_ids(store.classes)
        own = node_options(options, class_ids, store)
        crops[own.size].add(class_ids if own.framing == "crop" else None)
    for size, of_size in crops.items():
        for split in SPLITS:
            decode_once(store, split, size, Path(run.decoded), of_size)
    return sum(store.rows(split) for split in SPLITS)


@task(name="train-node", task_run_name="{node}", tags=["train"])
def train(node: str, run: TrainingRun, children: list[dict[str, Any]]) -> State[dict[str, Any]] | dict[str, Any]:
    """Train one node of the tree, or take what an earlier run left for the same identity (state *Cached*).

    Args:
        node: its name.
        run: what all nodes share.
        children: its children's results, `NodeResult.to_dict`; empty for a leaf.

    Returns:
        The node's result, `NodeResult.to_dict`.

    Raises:
        InputError: the data or a child's checkpoint cannot be read, or the loss is not a number.
    """
    logger = get_run_logger()
    store = open_store(Path(run.store))
    place = parse_tree(run.tree)[node]
    class_ids = place.class_ids(store.classes)
    options = node_options(TrainingOptions(**run.options), class_ids, store)
    results = [NodeResult.from_dict(child) for child in children]
    identity = node_identity(place, class_ids, store.digest, options, [child.checkpoint_sha256 for child in results])
    job = NodeJob(node=node, key=node_key(identity), folder=Path(run.nodes) / node_key(identity), options=options)
    if done := finished_result(job.folder, job.key):
        return Completed(name="Cached", message="trained by an earlier run", data=replace(done, node=node).to_dict())
    data = training_data(store, class_ids, options, Path(run.decoded))
    tracker = open_tracker(run.tracking)
    run_id = _start_run(tracker, run, place, options, job.key, store.digest)
    try:
        result = _train(tracker, run_id, job, data, results)
    except BaseException:
        tracker.end_run(run_id, "FAILED")
        raise
    tracker.end_run(run_id, "FINISHED")
    logger.info("%s: %s", node, _line(result))
    create_markdown_artifact(
        key=artifact_key("node", node), markdown=_markdown(result), description=f"P@K of the node {node}"
    )
    return result.to_dict()


def _train(tracker: Tracker, run_id: str, job: NodeJob, data: TrainingData, children: list[NodeResult]) -> NodeResult:
    """Train with metrics tracked and progress shown, then track what is kept."""
    options = job.options
    trained = [child for child in children if child.status == "trained"]
    if trained:
        states = [load_checkpoint(child.checkpoint, child.checkpoint_sha256) for child in trained]
        job = replace(job, start=average_weights(states, averaging_weights(trained, options.averaging)))
    progress = create_progress_artifact(
        progress=0.0, key=artifact_key("progress", job.node), description=f"epochs of the node {job.node}"
    )
    assert isinstance(progress, UUID)  # a coroutine only where the caller is one

    def on_epoch(report: EpochReport) -> None:
        tracker.log_metrics(run_id, _metrics(report), step=report.epoch)
        update_progress_artifact(artifact_id=progress, progress=100 * (report.epoch + 1) / options.epochs)

    result = replace(train_node(job, data, on_epoch), mlflow_run_id=run_id)
    write_result(result)
    if result.status == "trained":
        update_progress_artifact(artifact_id=progress, progress=100.0)
        tracker.log_artifact(run_id, result.checkpoint, "checkpoint")
        sheet = Path(result.folder) / "sheet.png"
        model = load_model(options.model, load_checkpoint(result.checkpoint, result.checkpoint_sha256)).to(
            options.device
        )
        if write_node_sheet(job.node, model, data.validation, options.device, options.seed, sheet):
            tracker.log_artifact(run_id, sheet, "sfam")
    figures = {name: value for name, value in result.precision.figures().items() if value is not None}
    tracker.log_metrics(run_id, {f"best_{name}": value for name, value in figures.items()}, step=max(0, result.epochs))
    tracker.set_tags(run_id, {"status": result.status, "reason": result.reason})
    return result


def _start_run(
    tracker: Tracker, run: TrainingRun, node: TreeNode, options: TrainingOptions, key: str, store_digest: str
) -> str:
    tags = {
        "node": node.name,
        "level": str(node.level),
        "prefect.flow_run_id": str(flow_run.get_id() or ""),
        "prefect.task_run_id": str(task_run.get_id() or ""),
    }
    params = {**asdict(options), "segments": " ".join(node.leaves), "children": " ".join(node.children), "key": key}
    run_id = tracker.start_run(run.experiment, node.name, parent_run_id=run.parent_run_id, params=params, tags=tags)
    tracker.log_dataset_input(run_id, run.experiment, store_digest, run.store)
    return run_id


def _metrics(report: EpochReport) -> dict[str, float]:
    figures = {
        "loss": report.loss,
        "learning_rate": report.learning_rate,
        "images_per_second": report.images_per_second,
        **report.validation.figures(),
        **{f"held_out_{name}": value for name, value in report.held_out.figures().items()},
    }
    return {name: value for name, value in figures.items() if value is not None}


def _line(result: NodeResult) -> str:
    if result.status == "degenerate":
        return f"degenerate: {result.reason}"
    figures = ", ".join(f"P@{k} {value:.3f}" for k, value in result.precision.at.items() if value is not None)
    return f"{figures}; {result.epochs} epochs in {result.seconds:.0f} s"


def _markdown(result: NodeResult) -> str:
    rows = [f"# {result.node}", "", _line(result), "", f"MLflow run `{result.mlflow_run_id}`"]
    if result.status == "trained":
        rows += ["", "| K | P@K | 95 % interval |", "|---|---|---|"]
        for k, value in result.precision.at.items():
            low, high = result.precision.intervals[k] or (float("nan"), float("nan"))
            rows.append(f"| {k} | {value:.3f} | {low:.3f} to {high:.3f} |" if value is not None else f"| {k} | - | - |")
    return "\n".join(rows)
