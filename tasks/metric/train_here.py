"""A tree trained node by node in this process: what the flow does, without Prefect."""

from pathlib import Path

from tasks.metric.node_job import NodeJob
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.plan import starting_weights
from tasks.metric.subject import node_subject
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree


def train_here(
    tree: SegmentTree, store: SegmentStore, options: TrainingOptions, nodes: Path, decoded: Path
) -> dict[str, NodeResult]:
    """Train every node that has no result yet, children before their parent.

    Args:
        tree: the tree.
        store: the data.
        options: how nodes are trained.
        nodes: folder of the nodes' results.
        decoded: folder of this machine's decoded splits.

    Raises:
        InputError, OutOfMemory, OSError: as `Subject.train`; finished nodes are kept.
    """
    results: dict[str, NodeResult] = {}
    for node in tree.nodes:
        subject, children = node_subject(node, store, options), [results[child] for child in node.children]
        key = subject.key(store, [child.checkpoint_sha256 for child in children])
        start = starting_weights(children, options)
        job = NodeJob(node=node.name, key=key, folder=nodes / key, options=subject.options, start=start)
        results[node.name] = subject.train(job, subject.data(store, decoded), lambda _: None)
    return results
