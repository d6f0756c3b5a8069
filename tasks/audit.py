"""Prefect tasks of a bias audit: one cross-fit a part or control, and the report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from infra.tracking import open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import post_markdown
from tasks.bias.audit import CrossFits, audit
from tasks.bias.bias_page import write_bias_page
from tasks.bias.bias_record import BiasReport
from tasks.bias.bias_tables import bias_tables
from tasks.bias.cross_fit import CrossFit, cross_fit
from tasks.bias.decided import Decided, decide_all
from tasks.bias.examples import write_example_sheet
from tasks.metric.subject import BACKGROUND_CONTROL, Subject, node_subject, shape_control_name, tree_controls
from tasks.metric.trained_tree import TrainedTree, open_trained_tree
from tasks.segments.store import SegmentStore, open_store


@dataclass(frozen=True, kw_only=True)
class AuditRun:
    """What is audited, and where the report goes: plain values.

    Attributes:
        model: folder of the trained tree.
        store: folder of the segment store.
        group: what photos are grouped by, as `find_group` gave it.
        controls: whether masks alone and the background alone are cross-fitted too.
        photos: validation photos that each segment of another one is put into.
        device: "cpu" or "cuda".
        nodes: folder of the nodes' results, cross-fits among them.
        decoded: folder of a machine's decoded splits.
        out: folder for bias.html, bias.json and bias.md.
        tracking: address of the tracking store.
        run_id: the flow's run there.
    """

    model: str
    store: str
    group: str | None
    controls: bool
    photos: int
    device: str
    nodes: str
    decoded: str
    out: str
    tracking: str
    run_id: str


def audit_subjects(trained: TrainedTree, store: SegmentStore, controls: bool) -> list[Subject]:
    """What an audit cross-fits: the tree's leaves, and the controls where they are asked for."""
    leaves = [node_subject(leaf, store, trained.options) for leaf in trained.tree.leaves]
    return [*leaves, *(tree_controls(trained.tree, store, trained.options) if controls else ())]


@task(name="cross-fit", task_run_name="cross-fit {subject.name}", tags=["train"])
def cross_fit_subject(subject: Subject, run: AuditRun) -> str:
    """Cross-fit one part or control, or find it done.

    Returns:
        What it reached, in words.

    Raises:
        InputError: a picture cannot be decoded, or the loss is not a number.
    """
    found = _fit(subject, open_store(Path(run.store)), run)
    said = f"{subject.name}: not trainable" if found is None else _line(subject.name, found)
    get_run_logger().info(said)
    return said


@task(name="audit-bias", task_run_name="audit", tags=["report"])
def audit_store(run: AuditRun) -> dict[str, Any]:
    """Write the report of an audit whose cross-fits are done.

    Returns:
        What bias.json holds.

    Raises:
        InputError: the model or the store cannot be used.
    """
    store, trained = open_store(Path(run.store)), open_trained_tree(Path(run.model), run.device)
    decided = decide_all(trained, store, Path(run.decoded))
    report = audit(trained, store, decided, _fits(trained, store, run), group=run.group, photos=run.photos)
    folder = Path(run.out)
    folder.mkdir(parents=True, exist_ok=True)
    fields = report.to_dict()
    (folder / "bias.json").write_text(json.dumps(fields, indent=1, allow_nan=False), encoding="utf-8")
    write_bias_page(report, _examples(report, trained, store, decided, run), folder / "bias.html")
    tables = bias_tables(report)
    (folder / "bias.md").write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")
    tracker = open_tracker(run.tracking)
    tracker.log_metrics(run.run_id, _metrics(report), step=0)
    for table in tables:
        tracker.log_table(run.run_id, table.columns_of_values(), f"{table.name}.json")
        post_markdown(key=artifact_key("bias", table.name), markdown=table.markdown(), description=table.title)
    for name in ("bias.html", "bias.json", "bias.md"):
        tracker.log_artifact(run.run_id, folder / name, "bias")
    return fields


def _fits(trained: TrainedTree, store: SegmentStore, run: AuditRun) -> CrossFits:
    """The cross-fits, which are done: each is read."""
    found = {each.name: _fit(each, store, run) for each in audit_subjects(trained, store, run.controls)}
    leaves = [leaf.name for leaf in trained.tree.leaves]
    return CrossFits(
        leaves={leaf: found[leaf] for leaf in leaves},
        shapes={leaf: found[shape_control_name(leaf)] for leaf in leaves} if run.controls else {},
        background=found.get(BACKGROUND_CONTROL),
    )


def _fit(subject: Subject, store: SegmentStore, run: AuditRun) -> CrossFit | None:
    return cross_fit(subject, store, Path(run.decoded), Path(run.nodes))


def _examples(
    report: BiasReport, trained: TrainedTree, store: SegmentStore, decided: Decided, run: AuditRun
) -> dict[str, bytes]:
    """Shortcut to the PNG of its example pairs; those whose look misleads no photo are left out."""
    found = {}
    for number, segment in enumerate(report.shortcuts):
        path = Path(run.out) / f"shortcut-{number}.png"
        leaf = segment.segment
        if leaf in decided.queries and write_example_sheet(trained, store, decided, leaf, Path(run.decoded), path):
            found[leaf] = path.read_bytes()
    return found


def _metrics(report: BiasReport) -> dict[str, float]:
    largest = max((segment.score for segment in report.segments), default=0.0)
    metrics = {"precision_at_1": report.precision, "largest_drop": largest, "shortcuts": len(report.shortcuts)}
    if report.groups is not None:
        metrics |= {"worst_group_precision_at_1": report.groups.worst.precision, "worst_group_gap": report.groups.gap}
    return metrics


def _line(name: str, found: CrossFit) -> str:
    return f"{name}: P@1 {found.train.mean():.3f} of new training photos, {found.validation.mean():.3f} of validation"
