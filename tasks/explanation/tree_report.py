"""From a run's results to the record that its report page is drawn from."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from tasks.explanation.additive import AdditiveFit
from tasks.explanation.node_sheet import sample_pictures
from tasks.explanation.report_record import NodeReport, Score, TreeReport
from tasks.metric.controls import Controlled
from tasks.metric.decision import TreeDecision
from tasks.metric.evaluation import Precision, precision_by_chance
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import split_view
from tasks.segments.label_functions import label_functions
from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def tree_report(
    tree: SegmentTree,
    store: SegmentStore,
    options: TrainingOptions,
    results: Mapping[str, NodeResult],
    decisions: TreeDecision,
    controls: Mapping[str, Controlled],
    cached: Collection[str],
    additive: AdditiveFit | None,
    decoded: Path,
) -> TreeReport:
    """Gather what the report page shows.

    Args:
        tree: the tree.
        store: the data.
        options: how the nodes were trained.
        results: by node.
        decisions: the composed decisions beside the nodes' own.
        controls: leaf to its controls; empty where none were trained.
        cached: names of the nodes that an earlier run trained.
        additive: the additive fit, if there is one.
        decoded: folder of this machine's decoded splits.
    """
    nodes = []
    for node in tree.nodes:
        result = results[node.name]
        class_ids = node.class_ids(store.classes)
        own = replace(options, framing=result.framing, size=result.size)
        view = split_view(store, "validation", class_ids, own, decoded)
        decision = decisions.nodes.get(node.name)
        sheet = Path(result.folder) / "sheet.png"
        nodes.append(
            NodeReport(
                name=node.name,
                segments=node.leaves,
                children=node.children,
                level=node.level,
                status=result.shown_status(cached=node.name in cached),
                precision_at=_scores(result.precision),
                composed_at=_scores(decision.composed) if decision else {},
                weight=decisions.weights.get(node.name),
                controls=controls.get(node.name),
                n=result.precision.n,
                samples=tuple(sample_pictures(view, options.seed)),
                sheets=(sheet.read_bytes(),) if sheet.is_file() else (),
            )
        )
    return TreeReport(
        data_set=store.source,
        digest=store.digest,
        images={split: store.rows(split) for split in SPLITS},
        label_counts=_label_counts(store),
        chance=precision_by_chance(store.labels["validation"]),
        nodes=tuple(nodes),
        segmenter_iou=store.notes.get("segmenter_iou"),
        r_squared=additive.r_squared if additive else None,
        rank_correlation=additive.rank_correlation if additive else None,
        pairs=additive.pairs if additive else 0,
        notes=tuple(_notes(tree, store, results)),
    )


def _scores(precision: Precision) -> dict[int, Score | None]:
    return {
        k: Score(value=value, interval=interval) if value is not None and (interval := precision.intervals[k]) else None
        for k, value in precision.at.items()
    }


def _label_counts(store: SegmentStore) -> dict[str, dict[str, int]]:
    counts = {split: Counter(store.labels[split]) for split in SPLITS}
    labels = sorted({label for split in SPLITS for label in counts[split]})
    return {label: {split: counts[split][label] for split in SPLITS} for label in labels}


def _notes(tree: SegmentTree, store: SegmentStore, results: Mapping[str, NodeResult]) -> list[str]:
    leaf_of = {name: leaf.name for leaf in tree.leaves for name in leaf.classes or ()}
    notes = [
        f"The label is a function of one segment: {name} is present in nearly all images of one label only"
        + (f" (leaf {leaf_of[name]})." if name in leaf_of else ".")
        for name in label_functions(store)
    ]
    rows = store.columns("train", ["provenance"])["provenance"]
    made = sum(row is not None and row["kind"] != "copy" for row in rows)
    if made:
        notes.append(f"{made} of the {len(rows)} training images are synthetic; all others are photos.")
    for name, result in results.items():
        if result.status == "degenerate":
            notes.append(f"{name} is degenerate, not trained: {result.reason}.")
    return notes
