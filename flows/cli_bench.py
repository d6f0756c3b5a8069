"""The command `heml bench`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from infra.settings import load_settings
from tasks.errors import InputError


def bench(
    out: Annotated[Path, typer.Option(help="folder of bench.json, bench.md and bench.png")] = Path("bench"),
    parts: Annotated[str | None, typer.Option(help="comma between; else all")] = None,
    rounds: Annotated[int, typer.Option(help="that are timed of each comparison")] = 9,
    store: Annotated[Path | None, typer.Option(help="a segment store; else portraits are drawn")] = None,
    tree: Annotated[str | None, typer.Option(help="of --store: a preset, a YAML file, or auto")] = None,
) -> None:
    """HEML beside its peers on this machine: ratios with intervals, as text, JSON and a chart."""
    shared.check_count("--rounds", rounds, 1)
    if tree and not store:
        raise InputError("--tree is over the classes of a store: give --store too")
    from flows.bench import run_bench

    asked = tuple(name.strip() for name in parts.split(",")) if parts else None
    run_bench(load_settings(), out, parts=asked, rounds=rounds, store=store, tree=tree or "auto")
    typer.echo(f"table, figures and chart: {out / 'bench.md'}, {out / 'bench.json'}, {out / 'bench.png'}")
