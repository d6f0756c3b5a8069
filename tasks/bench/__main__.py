"""The method's part of the benchmark, also where neither Prefect nor Dask, MLflow or typer is installed.

    python -m tasks.bench --device cuda --threads 16

One line of JSON a comparison, on standard output.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.bench.bench_setting import BenchSetting
from tasks.bench.method_bench import METHOD_PARTS, MethodBench
from tasks.segments.store import open_store
from tasks.segments.tree import load_tree


def main() -> None:
    """Run the parts that are asked for."""
    asked = argparse.ArgumentParser(prog="python -m tasks.bench", description="HEML's method beside its peers.")
    asked.add_argument("--parts", nargs="+", choices=METHOD_PARTS, default=list(METHOD_PARTS))
    asked.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    asked.add_argument("--rounds", type=int, default=9, help="that are timed")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--store", type=Path, help="a segment store; else portraits are drawn")
    asked.add_argument("--tree", type=Path, help="a YAML file of a tree over its classes")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = BenchSetting(
            folder=Path(folder), device=given.device, threads=given.threads, rounds=given.rounds, seed=given.seed
        )
        bench = MethodBench(
            setting=setting,
            store=open_store(given.store) if given.store else None,
            tree=load_tree(given.tree) if given.tree else None,
        )
        for part in given.parts:
            try:
                for row in bench.rows(part):
                    _tell(row.to_dict())
            except Exception as error:  # whatever a peer makes of this machine; the other parts can be measured
                _tell({"part": part, "failed": f"{type(error).__name__}: {error}"})


def _tell(facts: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
