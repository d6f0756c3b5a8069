"""The command `heml bench`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
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
    from flows.bench import PARTS, run_bench  # noqa: PLC0415 (`heml --help` must not wait for it)
    from flows.trees import resolve_tree  # noqa: PLC0415 (as above)
    from infra.settings import load_settings  # noqa: PLC0415 (as above)
    from tasks.segments.store import open_store  # noqa: PLC0415 (as above)

    opened = open_store(store) if store else None
    data = (opened, resolve_tree(tree or "auto", opened)) if opened else None
    asked = [name.strip() for name in parts.split(",")] if parts else PARTS
    run_bench(asked, load_settings(), rounds, out, data)
    typer.echo(f"table, figures and chart: {out / 'bench.md'}, {out / 'bench.json'}, {out / 'bench.png'}")
