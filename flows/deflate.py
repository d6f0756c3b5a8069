"""Deflate a bias: find the shortcut, make new samples against it, train anew what shows it, and judge on photos."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow

from flows.audit_bias import audit_bias
from flows.console import say
from flows.parameters import AuditParameters, DeflateParameters
from flows.tracked_run import tracked_run
from flows.train_tree import training_run
from flows.trainings import Future, Training, Trainings
from infra.outage import outlive_outages
from infra.runners import check_engine, ordinary_resources, task_runner, training_resources
from infra.settings import Settings, load_settings
from infra.tracking import fetch_model
from tasks.bias.auditable import check_auditable
from tasks.bias.budget import equal_epochs
from tasks.bias.deflation import RECOMBINE, REMEDIES
from tasks.bias.groups import find_group
from tasks.bias.plan import RecombinationPlan, parse_plan, read_plan
from tasks.deflate import DeflateRun, carry, compare_remedies, make_remedy_store
from tasks.errors import InputError
from tasks.metric.node_options import pixel_share
from tasks.metric.subject import Subject
from tasks.metric.trained_tree import TrainedTree, open_trained_tree
from tasks.report import assemble
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import TreeNode
from tasks.train import train_beside


@flow(name="deflate", flow_run_name="deflate {parameters.store.name}", task_runner=task_runner(load_settings()))
def deflate(parameters: DeflateParameters) -> str | None:
    """Break a shortcut's association with the label, beside two simple rivals and a control on the same budget.

    Args:
        parameters: the tree, its store, the groups to judge by, and the plan or none.

    Returns:
        The table in Markdown; None where the audit found no shortcut.

    Raises:
        InputError: the model, the store, the group or the plan cannot be used.
    """
    settings = load_settings()
    check_engine(settings, say)
    store = open_store(parameters.store.resolve())
    group = find_group(store, parameters.group)
    if group is None:
        raise InputError(
            f"deflating is judged by the worst group, and {store.path} has none: prepare it with --group COLUMN, or "
            "name a segment to group by"
        )
    model = fetch_model(parameters.model, settings)
    trained = open_trained_tree(model, settings.torch_device)
    out = parameters.out.resolve()
    plan = _plan(parameters, trained, out, settings)
    if plan is None:
        say("no shortcut found, so there is nothing to deflate")
        return None
    leaf = _planned_leaf(trained, store, plan)
    facts = {"model": str(model), "store": str(store.path), "group": group, "segment": leaf.name}
    with tracked_run(settings.tracking_uri, store.source, facts) as run_id:
        run = DeflateRun(
            model=str(model),
            store=str(store.path),
            group=group,
            plan=plan.to_dict(),
            device=settings.torch_device,
            nodes=str(settings.nodes),
            decoded=str(settings.decoded),
            out=str(out),
            tracking=settings.tracking_uri,
            run_id=run_id,
        )
        models, table = outlive_outages(lambda: _remedied(trained, leaf, store, run, settings), settings, say)
    say(table)
    say(f"table: {out / 'deflation.md'}")
    after = AuditParameters(
        model=models[RECOMBINE], store=store.path, out=out / "audit-after", group=parameters.group, controls=False
    )
    _audit(after, settings)
    return table


def _remedied(
    trained: TrainedTree, leaf: TreeNode, store: SegmentStore, run: DeflateRun, settings: Settings
) -> tuple[dict[str, str], str]:
    """Each remedy's tree, trained anew as far as it shows the leaf, and the table that compares them."""
    with ordinary_resources(settings):
        made = {remedy: make_remedy_store.submit(remedy, run) for remedy in REMEDIES}
    stores = {remedy: future.result() for remedy, future in made.items()}
    models, epochs = {}, {}
    for remedy, path in stores.items():
        say(f"{remedy}: training the nodes that show {leaf.name} anew")
        derived = open_store(Path(path))
        epochs[remedy] = equal_epochs(trained.options.epochs, store, derived, leaf)
        models[remedy] = _retrained(remedy, trained, leaf, store, derived, run, settings)
    with training_resources(settings):
        table: str = compare_remedies.submit(stores, models, epochs, run).result()
    return models, table


def _carry(node: str, store: str, run: DeflateRun, _children: list[Any]) -> Future:
    return carry.submit(node, store, run)


def _planned_leaf(trained: TrainedTree, store: SegmentStore, plan: RecombinationPlan) -> TreeNode:
    """The leaf that a plan is about.

    Raises:
        InputError: the plan does not fit the tree or the store.
    """
    trained.tree.check(store.classes.values())
    check_auditable(store)
    leaf = trained.tree[plan.segment]
    if leaf.children or set(plan.classes) != set(leaf.classes or ()):
        raise InputError(
            f"the plan exchanges {plan.segment!r} ({', '.join(plan.classes)}), and deflating trains a leaf of the tree "
            "anew: name one, with the classes that it unites: "
            + "; ".join(f"{each.name} ({', '.join(each.classes or ())})" for each in trained.tree.leaves)
        )
    if plan.kind == "same-label":
        raise InputError("the plan's donors have the same label, which is the control: give the kind other-label")
    plan.class_ids(store)
    return leaf


def _audit(parameters: AuditParameters, settings: Settings) -> dict[str, Any]:
    report: dict[str, Any] = audit_bias.with_options(task_runner=task_runner(settings))(parameters)
    return report


def _plan(
    parameters: DeflateParameters, trained: TrainedTree, out: Path, settings: Settings
) -> RecombinationPlan | None:
    """The given plan, or an audit's; held-out photos are those of the tree's own training."""
    if parameters.plan is not None:
        plan = read_plan(parameters.plan)
    else:
        auditing = AuditParameters(
            model=parameters.model, store=parameters.store, out=out / "audit", group=parameters.group, controls=False
        )
        report = _audit(auditing, settings)
        if report["plan"] is None:
            return None
        plan = parse_plan(report["plan"], "the audit's plan")
    return replace(plan, seed=trained.options.seed)


def _retrained(
    remedy: str,
    trained: TrainedTree,
    leaf: TreeNode,
    store: SegmentStore,
    derived: SegmentStore,
    run: DeflateRun,
    settings: Settings,
) -> str:
    """Train the leaf's node and those above it on a remedy's store, take the others as they are, and assemble.

    The tree decides as it did before: what changes is the remedy's doing.
    """
    options = replace(trained.options, device=run.device, threads=settings.threads)
    training = replace(training_run(derived, trained.tree, options, settings), parent_run_id=run.run_id)
    planned: dict[str, Training] = {}
    for node in trained.tree.nodes:
        if leaf.name in node.leaves:
            kept = trained.nodes[node.name]
            planned_epochs = trained.options.epochs_of(combined=bool(node.children))
            epochs = equal_epochs(planned_epochs, store, derived, node)
            own = replace(options, framing=kept.framing, size=kept.size, epochs=epochs, patience=epochs)
            subject = Subject(name=node.name, class_ids=node.class_ids(store.classes), options=own)
            submit = partial(train_beside.submit, subject, training)
            planned[node.name] = Training(submit=submit, children=node.children, share=pixel_share(own, options))
        else:
            planned[node.name] = Training(submit=partial(_carry, node.name, str(derived.path), run))
    futures = Trainings(planned, settings).wait()
    fields = [future.result() for future in futures.values()]
    as_they_are = [node.name for node in trained.tree.nodes if leaf.name not in node.leaves]
    with ordinary_resources(settings):
        assembled: str = assemble.submit(
            training, fields, as_they_are, [], trained.decision, str(run.folder(remedy))
        ).result()
    return assembled
