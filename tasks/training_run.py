"""What all trainings of one run share, and the Prefect task that decodes their pictures once a machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task

from tasks.metric.node_options import node_options
from tasks.metric.options import TrainingOptions
from tasks.segments.decoded import Framed, decode_once
from tasks.segments.source import SPLITS
from tasks.segments.store import open_store
from tasks.segments.tree import parse_tree


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
    framed: set[Framed] = set()
    for node in parse_tree(run.tree).nodes:
        class_ids = node.class_ids(store.classes)
        own = node_options(options, class_ids, store)
        framed.add((own.size, class_ids if own.framing == "crop" else None))
    for split in SPLITS:
        decode_once(store, split, Path(run.decoded), framed)
    return sum(store.rows(split) for split in SPLITS)
