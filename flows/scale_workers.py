"""How long a tree takes on 1 to 64 workers: by the schedule of its nodes' times, and by the real flow with stand-ins.

    python -m flows.scale_workers                                     # the celeba preset, nodes that take equally long
    python -m flows.scale_workers RUN/outcome.json RUN/outcome.json   # each node's least time of some runs

`--flow SECONDS` also runs the flow of `heml train` for each number of workers, its nodes sleeping instead of training
and together SECONDS long; Prefect's server and Dask are real, and the workers are threads of one process.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.stand_ins import stand_in_run
from flows.terminal import prefect_at_terminal
from flows.trees import preset_tree
from infra.machine import machine_name
from infra.schedule import list_schedule, longest_chain, shortest
from infra.settings import load_settings
from infra.thread_cluster import thread_cluster
from tasks.segments.tree import SegmentTree

WORKERS = (1, 2, 4, 8, 16, 32, 64)


def least_seconds(outcomes: Sequence[Mapping[str, Any]], tree: SegmentTree) -> dict[str, float]:
    """Each node's least time of several runs: other work on the machine only ever adds to it.

    Args:
        outcomes: of `heml train`, as `outcome.json` keeps them.
        tree: whose nodes they trained.
    """
    return {node.name: min(one["nodes"][node.name]["seconds"] for one in outcomes) for node in tree.nodes}


def main(
    outcomes: Annotated[list[Path] | None, typer.Argument(help="outcome.json of runs of one tree")] = None,
    flow: Annotated[float | None, typer.Option(help="run the flow too: seconds that all nodes take together")] = None,
) -> None:
    """Schedule, bound and, with --flow, the real flow's time for 1 to 64 workers: one line of JSON each."""
    kept = [json.loads(path.read_text(encoding="utf-8"))["outcome"] for path in outcomes or ()]
    tree = preset_tree("celeba")
    seconds = least_seconds(kept, tree) if kept else {node.name: 1.0 for node in tree.nodes}
    waits_for = {node.name: node.children for node in tree.nodes}
    scale = flow / sum(seconds.values()) if flow else 1.0
    seconds = {name: scale * value for name, value in seconds.items()}
    facts = {"machine": machine_name("cpu"), "nodes": len(seconds), "longest_chain": longest_chain(seconds, waits_for)}
    _tell(facts)
    for workers in WORKERS:
        made = list_schedule(seconds, waits_for, workers).seconds
        figures = {"workers": workers, "schedule": made, "bound": shortest(seconds, waits_for, workers)}
        if flow is not None:
            with prefect_at_terminal():
                taken = _flow_seconds(tree, seconds, workers)
            figures |= {"flow": taken, "efficiency": made / taken}
        _tell(figures)


def _flow_seconds(tree: SegmentTree, seconds: Mapping[str, float], workers: int) -> float:
    with thread_cluster(workers) as cluster:
        settings = load_settings(engine="address", dask_address=cluster.scheduler_address, device="cpu")
        return stand_in_run(tree, seconds, settings).seconds


def _tell(facts: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
