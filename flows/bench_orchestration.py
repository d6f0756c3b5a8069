"""What Prefect and Dask add to the nodes' own time: the real flow beside the best schedule.

python -m flows.bench_orchestration     # the flow alone, as JSON
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from flows.own_process import run_python
from flows.stand_ins import StandInRun, stand_in_run
from flows.terminal import prefect_at_terminal
from flows.trees import preset_tree
from infra.schedule import list_schedule
from infra.settings import load_settings
from tasks.bench.bench_row import BenchRow, counted

NODE_SECONDS, WORKERS = 10.0, 2
SECONDS_A_TASK = 0.2
"""What a task may cost a worker beyond its own time."""


def orchestration_rows(home: Path) -> Iterator[BenchRow]:
    """31 nodes of 10 s on two Dask workers of this machine.

    Args:
        home: of the run.
    """
    settings = {"ENGINE": "local", "WORKERS": str(WORKERS), "DEVICE": "cpu"}
    printed = run_python(["-m", "flows.bench_orchestration"], home, settings)
    run, tree = StandInRun(**json.loads(printed.splitlines()[-1])), preset_tree("celeba")
    best = list_schedule(run.nodes, {node.name: node.children for node in tree.nodes}, WORKERS).seconds
    cost = WORKERS * (run.seconds - best) / len(tree.nodes)
    setting = f"{len(tree.nodes)} nodes of {NODE_SECONDS:.0f} s, Prefect and Dask on this machine, {WORKERS} workers"
    yield BenchRow(
        part="orchestration",
        against="the best schedule of the nodes' measured times",
        measure="speed",
        ratio=counted(best / run.seconds),
        rounds=1,
        direction="at least",
        goal=0.95,
        ours=f"{run.seconds:.1f} s",
        theirs=f"{best:.1f} s",
        setting=setting,
    )
    yield BenchRow(
        part="orchestration",
        against=f"{SECONDS_A_TASK} s a task",
        measure="seconds a task",
        ratio=counted(cost / SECONDS_A_TASK),
        rounds=1,
        direction="at most",
        goal=1.0,
        ours=f"{cost:.2f} s",
        theirs=f"{SECONDS_A_TASK} s",
        setting=setting,
    )


def _main() -> None:
    tree = preset_tree("celeba")
    with prefect_at_terminal():
        run = stand_in_run(tree, dict.fromkeys((node.name for node in tree.nodes), NODE_SECONDS), load_settings())
    sys.stdout.write(json.dumps(asdict(run)) + "\n")


if __name__ == "__main__":
    _main()
