"""The whole benchmark: each part's comparisons, as JSON, a table and a chart."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flows.bench_chart import write_chart
from flows.bench_commands import second_run_rows, start_rows
from flows.bench_orchestration import orchestration_rows
from flows.console import console
from flows.trees import resolve_tree
from infra.machine import machine_name
from infra.settings import Settings
from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.bench_table import bench_table, line
from tasks.bench.method_bench import METHOD_PARTS, MethodBench
from tasks.errors import InputError
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.tree import SegmentTree

COMMAND_PARTS = {"orchestration": orchestration_rows, "start": start_rows, "second-run": second_run_rows}
PARTS = (*METHOD_PARTS, *COMMAND_PARTS)


def run_bench(
    settings: Settings,
    out: Path,
    *,
    parts: Sequence[str] | None = None,
    rounds: int,
    store: Path | None = None,
    tree: str = "auto",
) -> list[BenchRow]:
    """Run parts one after the other; one that cannot be measured here is told, and the others go on.

    Args:
        settings: their device, cores and home; what is written meanwhile goes into a folder there that is removed.
        out: folder of bench.json, bench.md and bench.png.
        parts: some of `PARTS`; None for all.
        rounds: that are timed of each comparison.
        store: a segment store; None draws portraits.
        tree: over the store's classes: a preset, a YAML file, or auto.

    Raises:
        InputError: there is no such part, or the store or the tree cannot be used.
    """
    parts = PARTS if parts is None else parts
    if unknown := [part for part in parts if part not in PARTS]:
        raise InputError(f"unknown part {unknown[0]!r} of the benchmark: one of {', '.join(PARTS)}")
    opened = open_store(store) if store else None
    data = (opened, resolve_tree(tree, opened)) if opened else None
    machine = machine_name(settings.torch_device)
    console.print(f"on {machine}", style="bold", markup=False)
    settings.home.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[BenchRow] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=settings.home, prefix="bench-") as folder:
        setting = BenchSetting(
            folder=Path(folder), device=settings.torch_device, threads=settings.worker_count, rounds=rounds
        )
        for part in parts:
            console.print(part, style="dim", markup=False)
            try:
                for row in _rows(part, setting, data):
                    rows.append(row)
                    console.print(f"  {line(row)}", markup=False)
            except Exception as error:  # whatever a peer makes of this machine; the other parts can be measured
                failed[part] = f"{type(error).__name__}: {error}"
                console.print(f"  not measured: {failed[part]}", markup=False)
            _write(out, machine, rows, failed)
    return rows


def _rows(part: str, setting: BenchSetting, data: tuple[SegmentStore, SegmentTree] | None) -> Iterator[BenchRow]:
    if part in COMMAND_PARTS:
        own: Callable[[Path], Iterator[BenchRow]] = COMMAND_PARTS[part]
        return own(setting.folder)
    store, tree = data or (None, None)
    return MethodBench(setting=setting, store=store, tree=tree).rows(part)


def _write(out: Path, machine: str, rows: Sequence[BenchRow], failed: dict[str, str]) -> None:
    facts = {"machine": machine, "rows": [row.to_dict() for row in rows], "not_measured": failed}
    (out / "bench.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    (out / "bench.md").write_text(bench_table(rows, machine), encoding="utf-8")
    if rows:
        write_chart(rows, machine, out / "bench.png")
