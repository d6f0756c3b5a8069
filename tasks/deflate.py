"""Prefect tasks that deflate a bias: a remedy's store, nodes as they are or trained anew, and before beside after."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task

from infra.tracking import open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import post_markdown
from tasks.bias.carry import carry_over
from tasks.bias.decided import decide_all
from tasks.bias.deflation import RECOMBINE, REWEIGHT, SAME_LABEL, Outcome, deflation
from tasks.bias.deflation_table import deflation_table
from tasks.bias.group_precision import group_precision
from tasks.bias.groups import group_values
from tasks.bias.plan import RecombinationPlan
from tasks.bias.recombined_store import write_recombined_store
from tasks.bias.resampled_store import write_reweighted_store, write_subsampled_store
from tasks.errors import InputError
from tasks.metric.trained_tree import TrainedTree, open_trained_tree
from tasks.segments.store import SegmentStore, open_store


@dataclass(frozen=True, kw_only=True)
class DeflateRun:
    """What is deflated: plain values.

    Attributes:
        model: folder of the trained tree.
        store: folder of the store that it was trained on.
        group: what photos are grouped by.
        plan: fields of the `RecombinationPlan`.
        device: "cpu" or "cuda".
        nodes: folder of the nodes' results.
        decoded: folder of a machine's decoded splits.
        out: folder of the stores, trees and tables.
        tracking: address of the tracking store.
        run_id: the flow's run there.
    """

    model: str
    store: str
    group: str
    plan: Mapping[str, Any]
    device: str
    nodes: str
    decoded: str
    out: str
    tracking: str
    run_id: str

    def folder(self, remedy: str) -> Path:
        """Where a remedy's store and tree go."""
        return Path(self.out) / artifact_key(remedy)


@task(name="make-remedy", task_run_name="{remedy}: store", tags=["data"])
def make_remedy_store(remedy: str, run: DeflateRun) -> str:
    """Write a remedy's store, or find it.

    Returns:
        Its folder.

    Raises:
        InputError: the plan does not fit the store, or a picture cannot be decoded.
    """
    store, plan = open_store(Path(run.store)), RecombinationPlan(**{**run.plan, "classes": tuple(run.plan["classes"])})
    out = run.folder(remedy) / "store"
    if remedy in (RECOMBINE, SAME_LABEL):
        kind = plan.kind if remedy == RECOMBINE else "same-label"
        return str(write_recombined_store(store, replace(plan, kind=kind), out).path)
    write = write_reweighted_store if remedy == REWEIGHT else write_subsampled_store
    return str(write(store, group_values(store, "train", run.group), plan.seed, out).path)


@task(name="carry-over", task_run_name="{node}: as it is", tags=["train"])
def carry(node: str, store: str, run: DeflateRun) -> dict[str, Any]:
    """A node of the tree as it is, on another store: `NodeResult.to_dict`.

    Raises:
        InputError: a picture cannot be decoded, or the checkpoint is missing or damaged.
    """
    trained = open_trained_tree(Path(run.model), run.device)
    return carry_over(trained, node, open_store(Path(store)), Path(run.decoded), Path(run.nodes)).to_dict()


@task(name="compare-remedies", task_run_name="before and after", tags=["report"])
def compare_remedies(stores: dict[str, str], models: dict[str, str], epochs: dict[str, int], run: DeflateRun) -> str:
    """Judge every remedy's tree on the photos, beside the tree as it was.

    Args:
        stores, models, epochs: remedy to its store, to its tree, and to the epochs that its nodes were given.
        run: what was deflated.

    Returns:
        The table in Markdown.

    Raises:
        InputError: no label x group cell has enough validation photos.
    """
    store, segment = open_store(Path(run.store)), str(run.plan["segment"])

    def judge(name: str, trained: TrainedTree, trained_on: SegmentStore) -> Outcome:
        return _outcome(name, trained, store, trained_on, epochs.get(name, 0), run)

    before = judge("before", open_trained_tree(Path(run.model), run.device), store)
    after = [
        judge(name, open_trained_tree(Path(model), run.device), open_store(Path(stores[name])))
        for name, model in models.items()
    ]
    labels = store.labels["validation"]
    groups = group_values(store, "validation", run.group)
    found = deflation(segment, run.group, store.source, before, after, labels, groups)
    table = deflation_table(found)
    markdown = table.markdown()
    folder = Path(run.out)
    (folder / "deflation.json").write_text(json.dumps(found.to_dict(), indent=1, allow_nan=False), encoding="utf-8")
    (folder / "deflation.md").write_text(markdown, encoding="utf-8")
    tracker = open_tracker(run.tracking)
    tracker.log_table(run.run_id, table.columns_of_values(), "deflation.json")
    for name in ("deflation.json", "deflation.md"):
        tracker.log_artifact(run.run_id, folder / name, "deflation")
    post_markdown(key=artifact_key("bias", table.name), markdown=markdown, description=table.title)
    return markdown


def _outcome(
    name: str, trained: TrainedTree, store: SegmentStore, trained_on: SegmentStore, epochs: int, run: DeflateRun
) -> Outcome:
    """A tree judged on the validation photos of the original store."""
    leaf = str(run.plan["segment"])
    decided = decide_all(trained, store, Path(run.decoded))
    shares = decided.precision()
    groups = group_precision(shares, decided.labels, group_values(store, "validation", run.group))
    if groups is None:
        raise InputError(f"no label and group of {store.path} has enough validation photos to be judged")
    provenance = trained_on.columns("train", ["provenance"])["provenance"]
    return Outcome(
        name=name,
        images=len(provenance),
        synthetic=sum(row is not None and row["kind"] != "copy" for row in provenance),
        epochs=epochs,
        decision=trained.decision,
        weight=trained.nodes[leaf].weight,
        leaf_precision=trained.nodes[leaf].precision.at[1],
        groups=groups,
        shares=shares,
        among_validation=trained.precision(trained.tree.root.name, trained.decision).at[1],
    )
