"""The flow of `heml train` with nodes that sleep instead of training: what Prefect and Dask take, and nothing else."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from infra.settings import Settings
from tasks.segments.tree import SegmentTree


@dataclass(frozen=True, kw_only=True)
class StandInRun:
    """How long it took.

    Attributes:
        seconds: from the first submission to the last result; workers have begun before.
        nodes: node to how long it slept, as its worker measured.
    """

    seconds: float
    nodes: dict[str, float]


def stand_in_run(tree: SegmentTree, seconds: Mapping[str, float], settings: Settings) -> StandInRun:
    """Run it where a Prefect server is at hand.

    Args:
        tree: whose nodes.
        seconds: node to how long it sleeps.
        settings: whose engine and workers.
    """
    from prefect import flow, task  # noqa: PLC0415 (after the server has started)

    from flows.trainings import Training, Trainings  # noqa: PLC0415 (as above)
    from infra.runners import task_runner  # noqa: PLC0415 (as above)

    @task(name="stand-in", task_run_name="{node}")
    def stand_in(node: str, pause: float, children: list[float]) -> float:
        started = time.perf_counter()
        time.sleep(pause)
        return time.perf_counter() - started

    def training(node: str, pause: float, children: tuple[str, ...] = ()) -> Training:
        return Training(submit=partial(stand_in.submit, node, pause), children=children)

    @flow(name="stand-ins", task_runner=task_runner(settings))
    def whole_tree() -> StandInRun:
        first = {f"worker {number}": training(f"worker {number}", 1.0) for number in range(settings.worker_count)}
        Trainings(first, settings).wait()
        planned = {node.name: training(node.name, seconds[node.name], node.children) for node in tree.nodes}
        started = time.perf_counter()
        futures = Trainings(planned, settings).wait()
        taken = time.perf_counter() - started
        return StandInRun(seconds=taken, nodes={name: future.result() for name, future in futures.items()})

    return whole_tree()
