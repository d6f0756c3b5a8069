"""Train a tree: the segment tree is the flow's graph, one task run a node, a parent waits for its children's tasks."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.task_runners import TaskRunner

from flows.console import say
from flows.earlier_run import earlier_outcome, keep_outcome, run_digest
from flows.node_fields import node_fields
from flows.parameters import TrainParameters
from flows.tracked_run import tracked_run
from flows.trainings import Future, Training, Trainings
from flows.trees import AUTO, fitting_presets, resolve_tree
from flows.writable import check_writable
from infra.outage import outlive_outages
from infra.runners import check_engine, ordinary_resources, task_runner
from infra.settings import Settings, load_settings
from infra.stopping import StoppableThreads
from infra.tracking import open_tracker
from tasks.errors import InputError
from tasks.metric.evaluation import precision_by_chance
from tasks.metric.model import build_model
from tasks.metric.node_options import pixel_share
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.plan import finished_nodes, untrainable_leaves
from tasks.metric.subject import node_subject, tree_controls
from tasks.metric.trained_tree import TrainedTree, open_trained_tree
from tasks.report import assemble, register
from tasks.segments.file_name import file_name
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import SegmentTree
from tasks.temporary_path import check_replaceable
from tasks.train import train, train_beside
from tasks.training_run import TrainingRun, decode_store


@flow(
    name="train-tree",
    flow_run_name="train {parameters.store.name}, tree {parameters.tree_name}",
    task_runner=task_runner(load_settings()),
)
def train_tree(parameters: TrainParameters) -> dict[str, Any]:
    """Train every node of a segment tree, evaluate each, and register the trained tree as one model.

    Args:
        parameters: the store, the tree, and how its nodes are trained.

    Returns:
        What the command `heml train --json` writes, and the folder of the results under "out".

    Raises:
        InputError: the store, the tree or the options cannot be used; nodes that are done stay done.
    """
    settings = load_settings()
    check_engine(settings, say)
    store = open_store(parameters.store.resolve())
    tree = resolve_tree(parameters.tree, store)
    options = replace(parameters.options, device=settings.torch_device, threads=settings.threads)
    if parameters.out is not None:
        check_writable(parameters.out)
        check_replaceable(parameters.out / "model", "tree.json")
    run = training_run(store, tree, options, settings)
    done = finished_nodes(tree, store, options, settings.nodes)
    for name, preset in fitting_presets(store).items() if parameters.tree == AUTO else ():
        say(f"the classes fit a preset as well: --tree {name}, {len(preset.nodes)} nodes instead of {len(tree.nodes)}")
    chance = precision_by_chance(store.labels["validation"])
    by_chance = "" if chance is None else f"; P@1 by chance {chance:.3f}, among all validation photos"
    say(f"{store.source}: {len(tree.nodes)} nodes, {len(done)} of them trained before{by_chance}")
    if len(done) == len(tree.nodes):
        out = _out(parameters, settings, store, done[tree.root.name])
        if earlier := earlier_outcome(out, run_digest(parameters, settings, store, tree, done), settings):
            _collect(_node_trainings(run, tree, store, options, settings), tree)
            _say_end(earlier)
            return earlier
    facts = {**run.options, "store": run.store, "tree": parameters.tree}
    with tracked_run(run.tracking, run.experiment, facts) as run_id:
        run = replace(run, parent_run_id=run_id)
        open_tracker(run.tracking).log_dataset_input(run.parent_run_id, store.source, store.digest, run.store)
        return outlive_outages(lambda: _run(parameters, settings, run, tree, store, options), settings, say)


def training_run(store: SegmentStore, tree: SegmentTree, options: TrainingOptions, settings: Settings) -> TrainingRun:
    """What the tasks of a run share; it is not tracked yet."""
    return TrainingRun(
        store=str(store.path),
        tree=tree.to_dict(),
        options=asdict(options),
        nodes=str(settings.nodes),
        decoded=str(settings.decoded),
        tracking=settings.tracking_uri,
        experiment=store.source,
        parent_run_id="",
    )


def runner_for(parameters: TrainParameters, settings: Settings) -> TaskRunner[Any]:
    """The engine for a run: the settings' one, or threads where no node is left to train.

    Raises:
        InputError: the store or the tree cannot be used.
    """
    store = open_store(parameters.store.resolve())
    tree = resolve_tree(parameters.tree, store)
    options = replace(parameters.options, device=settings.torch_device, threads=settings.threads)
    done = finished_nodes(tree, store, options, settings.nodes)
    tracked = [name for name, result in done.items() if result.mlflow_run_id]
    if len(tracked) == len(tree.nodes) and not parameters.controls:
        return StoppableThreads(max_workers=2)
    return task_runner(settings)


def _run(
    parameters: TrainParameters,
    settings: Settings,
    run: TrainingRun,
    tree: SegmentTree,
    store: SegmentStore,
    options: TrainingOptions,
) -> dict[str, Any]:
    with ordinary_resources(settings):
        decode_store.submit(run).result()
    reasons = untrainable_leaves(tree, store, options, settings.decoded)
    if len(reasons) == len(tree.leaves):
        name, reason = next(iter(reasons.items()))
        raise InputError(
            f"every leaf of the tree is degenerate, so there is nothing to explain by; {name}: {reason}: "
            "take larger segments or more images"
        )
    build_model(options.model)  # a trunk that nobody knows, or weights that cannot be had, before any node starts
    say("training; each node is told once it and those before it have ended")
    nodes = _node_trainings(run, tree, store, options, settings)
    controls = _control_trainings(run, tree, store, options, settings) if parameters.controls else None
    results, cached = _collect(nodes, tree)
    control_fields = [future.result() for future in controls.wait().values()] if controls else []
    say("comparing the decisions, writing the report")
    out = _out(parameters, settings, store, results[tree.root.name])
    fields = [result.to_dict() for result in results.values()]
    with ordinary_resources(settings):
        model = assemble.submit(run, fields, sorted(cached), control_fields, parameters.decision, str(out)).result()
    trained = open_trained_tree(Path(model))
    score = trained.precision(tree.root.name, trained.decision).at[1]
    with ordinary_resources(settings):
        address = register.submit(run, model, score).result() if parameters.register_model else None
    outcome = {
        **_outcome(trained, results, cached),
        "controls": {fields["node"]: fields["key"] for fields in control_fields},
        "mlflow_run_id": run.parent_run_id,
        "model_uri": address,
        "out": str(out),
    }
    keep_outcome(out, run_digest(parameters, settings, store, tree, results), outcome)
    _say_end(outcome)
    return outcome


def _out(parameters: TrainParameters, settings: Settings, store: SegmentStore, root: NodeResult) -> Path:
    return (parameters.out or settings.home / "runs" / f"{file_name(store.source)}-{root.key[:12]}").resolve()


def _node_trainings(
    run: TrainingRun, tree: SegmentTree, store: SegmentStore, options: TrainingOptions, settings: Settings
) -> Trainings:
    """One task run a node; a parent takes its children's futures."""
    planned = {}
    for node in tree.nodes:
        submit = partial(train.with_options(name=node.name).submit, node.name, run)  # named also before it starts
        share = pixel_share(node_subject(node, store, options).options, options)
        planned[node.name] = Training(submit=submit, children=node.children, share=share)
    return Trainings(planned, settings)


def _control_trainings(
    run: TrainingRun, tree: SegmentTree, store: SegmentStore, options: TrainingOptions, settings: Settings
) -> Trainings:
    """The leaves' masks and the background alone, one task run each."""
    planned = {}
    for control in tree_controls(tree, store, options):
        submit = partial(train_beside.with_options(name=control.name).submit, control, run)
        planned[control.name] = Training(submit=submit, share=pixel_share(control.options, options))
    return Trainings(planned, settings)


def _say_end(outcome: Mapping[str, Any]) -> None:
    say(f"decision: {outcome['decision']}; report: {Path(outcome['out']) / 'report.html'}")


def _collect(trainings: Trainings, tree: SegmentTree) -> tuple[dict[str, NodeResult], set[str]]:
    """Results of all nodes, and which of them come from an earlier run; tells of each node that has ended."""
    results: dict[str, NodeResult] = {}
    cached: set[str] = set()
    names = [node.name for node in tree.nodes]
    ended: dict[str, int] = {}

    def on_end(name: str, future: Future) -> None:
        place = f"[{ended.setdefault(name, len(ended) + 1):2d}/{len(names)}]"
        if not future.state.is_completed():
            say(f"{place} {name}: {future.state.name}")
            return
        results[name] = NodeResult.from_dict(future.result())
        if future.state.name == "Cached":
            cached.add(name)
        say(f"{place} {_line(results[name], name in cached)}")

    trainings.wait(on_end)
    return {name: results[name] for name in names}, cached


def _line(result: NodeResult, cached: bool) -> str:
    if result.status == "degenerate":
        return f"{result.node}: degenerate, {result.reason}"
    value, interval = result.precision.at[1], result.precision.intervals[1]
    figure = f"P@1 {value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})" if value is not None and interval else "P@1 -"
    return f"{result.node}: {figure}, n {result.precision.n}, " + ("cached" if cached else f"{result.seconds:.0f} s")


def _outcome(trained: TrainedTree, results: Mapping[str, NodeResult], cached: set[str]) -> dict[str, Any]:
    nodes = {}
    for node in trained.tree.nodes:
        result = results[node.name]
        nodes[node.name] = {
            **node_fields(node, result.precision, trained.nodes[node.name].composed),
            "status": result.shown_status(cached=node.name in cached),
            "seconds": result.seconds,
            "key": result.key,
            "checkpoint_sha256": result.checkpoint_sha256,
        }
    return {"root": trained.tree.root.name, "decision": trained.decision, "nodes": nodes}
