"""Audit what the labels of a data set lean on, through a trained tree."""

from functools import partial
from typing import Any

from prefect import flow

from flows.console import say
from flows.parameters import AuditParameters
from flows.tracked_run import tracked_run
from flows.trainings import Future, Training, Trainings
from infra.outage import outlive_outages
from infra.runners import check_engine, task_runner, training_resources
from infra.settings import Settings, load_settings
from infra.tracking import fetch_model
from tasks.audit import AuditRun, audit_store, audit_subjects, cross_fit_subject
from tasks.bias.auditable import check_auditable
from tasks.bias.groups import find_group
from tasks.metric.node_options import pixel_share
from tasks.metric.subject import Subject
from tasks.metric.trained_tree import TrainedTree, open_trained_tree
from tasks.segments.store import SegmentStore, open_store


@flow(name="audit-bias", flow_run_name="audit {parameters.store.name}", task_runner=task_runner(load_settings()))
def audit_bias(parameters: AuditParameters) -> dict[str, Any]:
    """Cross-fit every part and control, one task each, and report which parts are shortcuts.

    Args:
        parameters: the model, the data, how photos are grouped, and where the report goes.

    Returns:
        What bias.json holds.

    Raises:
        InputError: the model, the store or the group cannot be used.
    """
    settings = load_settings()
    check_engine(settings, say)
    store = open_store(parameters.store.resolve())
    check_auditable(store)
    group = find_group(store, parameters.group)
    model = fetch_model(parameters.model, settings)
    trained = open_trained_tree(model, settings.torch_device)
    trained.tree.check(store.classes.values())
    facts = {"model": str(model), "store": str(store.path), "group": group, "controls": parameters.controls}
    with tracked_run(settings.tracking_uri, store.source, facts) as run_id:
        run = AuditRun(
            model=str(model),
            store=str(store.path),
            group=group,
            controls=parameters.controls,
            photos=parameters.photos,
            device=settings.torch_device,
            nodes=str(settings.nodes),
            decoded=str(settings.decoded),
            out=str(parameters.out.resolve()),
            tracking=settings.tracking_uri,
            run_id=run_id,
        )
        report = outlive_outages(lambda: _audited(trained, store, run, settings), settings, say)
    say(_verdict(report))
    say(f"report: {parameters.out / 'bias.html'}")
    return report


def largest_shortcut(report: dict[str, Any]) -> float:
    """The largest drop of a part that is a shortcut, from what bias.json holds; 0 without one."""
    return max((segment["score"] for segment in report["segments"] if segment["reasons"]), default=0.0)


def _audited(trained: TrainedTree, store: SegmentStore, run: AuditRun, settings: Settings) -> dict[str, Any]:
    """What bias.json holds, once every part and control is cross-fitted."""
    _cross_fit(trained, store, run, settings)
    with training_resources(settings):
        report: dict[str, Any] = audit_store.submit(run).result()
    return report


def _cross_fit(trained: TrainedTree, store: SegmentStore, run: AuditRun, settings: Settings) -> None:
    """One task run a part or control; tells of each that has ended."""
    planned = {}
    for each in audit_subjects(trained, store, run.controls):
        submit = partial(_submit, each, run)
        planned[each.name] = Training(submit=submit, share=pixel_share(each.options, trained.options))
    names = list(planned)

    def on_end(name: str, future: Future) -> None:
        said = future.result() if future.state.is_completed() else f"{name}: {future.state.name}"
        say(f"[{names.index(name) + 1:2d}/{len(names)}] {said}")

    Trainings(planned, settings).wait(on_end)


def _submit(subject: Subject, run: AuditRun, _children: list[Any]) -> Future:
    return cross_fit_subject.with_options(name=subject.name).submit(subject, run)


def _verdict(report: dict[str, Any]) -> str:
    said = [
        f"{segment['segment']}: {'; '.join(segment['reasons'])}" for segment in report["segments"] if segment["reasons"]
    ]
    groups = report["groups"]
    worst = (
        ""
        if groups is None
        else f"; worst group {groups['worst']['label']}, {groups['worst']['group']} {groups['worst']['precision']:.3f}"
    )
    return f"P@1 {report['precision']:.3f}{worst}; " + (
        "shortcuts: " + " | ".join(said) if said else "no shortcut found"
    )
