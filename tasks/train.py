"""Prefect tasks that train: one task run a node of the tree, a control or a baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.client.schemas import State
from prefect.states import Cancelled, Completed

from infra.processes import locked
from infra.stopping import stop_signal
from infra.tracking import Tracker, open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import ProgressArtifact, post_markdown
from tasks.errors import Stopped
from tasks.explanation.markdown import markdown_text
from tasks.explanation.node_sheet import write_node_sheet
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.model import load_model
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_result import NodeResult, finished_result, write_result
from tasks.metric.options import TrainingOptions
from tasks.metric.out_of_memory import memory_checked
from tasks.metric.plan import starting_weights
from tasks.metric.subject import Subject, node_subject
from tasks.metric.training_data import TrainingData
from tasks.node_tracking import close_failed, close_finished, close_run, open_run
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import parse_tree
from tasks.training_run import TrainingRun


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
        OutOfMemory: memory does not suffice, also for batches in two micro-batches.
    """
    store = open_store(Path(run.store))
    place = parse_tree(run.tree)[node]
    subject = node_subject(place, store, TrainingOptions(**run.options))
    tags = {"level": str(place.level)}
    params = {"segments": " ".join(place.leaves), "children": " ".join(place.children)}
    return _tracked(subject, run, store, [NodeResult.from_dict(child) for child in children], params, tags)


@task(name="train-beside", task_run_name="{subject.name}", tags=["train"])
def train_beside(
    subject: Subject, run: TrainingRun, children: Sequence[dict[str, Any]] = ()
) -> State[dict[str, Any]] | dict[str, Any]:
    """Train what stands beside the tree, a control or a baseline, or a node of another tree, as `train` does a node.

    Args:
        subject: what it is.
        run: what all share.
        children: results of what it starts from, `NodeResult.to_dict`.

    Returns:
        Its result, `NodeResult.to_dict`.

    Raises:
        InputError, OutOfMemory: as `train`.
    """
    started_from = [NodeResult.from_dict(child) for child in children]
    return _tracked(subject, run, open_store(Path(run.store)), started_from, {}, {"level": "beside"})


def _tracked(
    subject: Subject,
    run: TrainingRun,
    store: SegmentStore,
    children: list[NodeResult],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> State[dict[str, Any]] | dict[str, Any]:
    """The result; where nobody waits for it any more, the state *Cancelled*: nothing failed."""
    key = subject.key(store, [child.checkpoint_sha256 for child in children])
    folder = Path(run.nodes) / key
    job = NodeJob(node=subject.name, key=key, folder=folder, options=subject.options, stopped=stop_signal())
    tracker = open_tracker(run.tracking)

    def say_so() -> None:
        get_run_logger().info("another run trains %s: waiting for it", subject.name)

    def stop_if_told() -> None:
        if job.stopped():
            raise Stopped(f"{subject.name!r} was stopped while another run trains it")

    try:
        # Two flows may train on one store at once: the second waits, and takes what the first has trained.
        with locked(folder / "lock", say_so, stop_if_told):
            done = finished_result(folder, key)
            if done and done.mlflow_run_id:
                close_finished(tracker, folder, run.tracking)
                result = replace(done, node=subject.name)
                _post(result)
                return Completed(name="Cached", message="trained by an earlier run", data=result.to_dict())
            data = subject.data(store, Path(run.decoded))
            opened = open_run(tracker, run, subject, job, store, params, tags)
            try:
                result = memory_checked(job, lambda: _train(tracker, opened, subject, job, data, children))
            except BaseException as error:
                close_failed(tracker, opened, folder, error)
                raise
            close_run(tracker, opened, folder, "FINISHED")
    except Stopped as stopped:
        return Cancelled(message=str(stopped))
    get_run_logger().info("%s: %s", subject.name, _line(result))
    _post(result)
    if tracker.missing:
        get_run_logger().warning("%d calls have not reached MLflow at %s yet", tracker.missing, run.tracking)
    return result.to_dict()


def _train(
    tracker: Tracker, run_id: str, subject: Subject, job: NodeJob, data: TrainingData, children: list[NodeResult]
) -> NodeResult:
    """Train with metrics tracked and progress shown, then track what is kept."""
    options = job.options
    job = replace(job, start=starting_weights(children, options))
    progress = ProgressArtifact(artifact_key("progress", job.node), f"epochs of {job.node}")

    def on_epoch(report: EpochReport) -> None:
        tracker.log_metrics(run_id, _metrics(report), step=report.epoch, unless_there=report.earlier)
        progress.reach(100 * (report.epoch + 1) / options.epochs)

    result = subject.train(job, data, on_epoch)
    if result.status == "trained":
        progress.reach(100.0)
        tracker.log_artifact(run_id, result.checkpoint, "checkpoint")
        if not subject.avsl:  # SFAM explains one embedding's distance
            _log_sheet(tracker, run_id, result, options, data)
    figures = {name: value for name, value in result.precision.figures().items() if value is not None}
    tracker.log_metrics(run_id, {f"best_{name}": value for name, value in figures.items()}, step=max(0, result.epochs))
    tracker.set_tags(run_id, {"status": result.status, "reason": result.reason})
    # Last: a result without a run's id has not been tracked to its end, and the next run does so.
    result = replace(result, mlflow_run_id=tracker.run_id(run_id))
    write_result(result)
    return result


def _log_sheet(tracker: Tracker, run_id: str, result: NodeResult, options: TrainingOptions, data: TrainingData) -> None:
    sheet = Path(result.folder) / "sheet.png"
    model = load_model(options.model, load_checkpoint(result.checkpoint, result.checkpoint_sha256)).to(options.device)
    if write_node_sheet(result.node, model, data.validation, options, sheet):
        tracker.log_artifact(run_id, sheet, "sfam")


def _metrics(report: EpochReport) -> dict[str, float]:
    figures = {
        "loss": report.loss,
        "learning_rate": report.learning_rate,
        "images_per_second": report.images_per_second,
        "micro_batch": report.micro_batch,
        **report.validation.figures(),
        **{f"held_out_{name}": value for name, value in report.held_out.figures().items()},
    }
    return {name: value for name, value in figures.items() if value is not None}


def _line(result: NodeResult) -> str:
    if result.status == "degenerate":
        return f"degenerate: {result.reason}"
    figures = ", ".join(f"P@{k} {value:.3f}" for k, value in result.precision.at.items() if value is not None)
    return f"{figures}; {result.epochs} epochs in {result.seconds:.0f} s, {result.micro_batch} images at once"


def _post(result: NodeResult) -> None:
    post_markdown(artifact_key("node", result.node), _markdown(result), f"P@K of {result.node}")


def _markdown(result: NodeResult) -> str:
    name, line = (markdown_text(text) for text in (result.node, _line(result)))
    rows = [f"# {name}", "", line, "", f"MLflow run `{result.mlflow_run_id}`"]
    if result.status == "trained":
        rows += ["", "| K | P@K | 95 % interval |", "|---|---|---|"]
        for k, value in result.precision.at.items():
            low, high = result.precision.intervals[k] or (float("nan"), float("nan"))
            rows.append(f"| {k} | {value:.3f} | {low:.3f} to {high:.3f} |" if value is not None else f"| {k} | - | - |")
    return "\n".join(rows)
