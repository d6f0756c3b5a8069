"""The command `heml recombine`."""

from pathlib import Path
from typing import Annotated

import typer


def recombine(
    store: Annotated[Path, typer.Option(help="segment store of photos")],
    plan: Annotated[Path, typer.Option(help="bias.json of `heml audit`, or a JSON file with a plan")],
    out: Annotated[Path, typer.Option(help="folder of the new store, and of sheet.png with examples")],
) -> None:
    """Add synthetic training samples to a store: photos with one segment of another photo, as an audit's plan says."""
    from tasks.bias.plan import read_plan
    from tasks.bias.recombination_sheet import write_recombination_sheet
    from tasks.bias.recombined_store import write_recombined_store
    from tasks.segments.store import open_store

    photos, chosen = open_store(store), read_plan(plan)
    written = write_recombined_store(photos, chosen, out)
    write_recombination_sheet(written, out / "sheet.png")
    new = sum(bool(row) and row["kind"] != "copy" for row in written.columns("train", ["provenance"])["provenance"])
    typer.echo(f"{new} synthetic training samples ({chosen.kind}, {chosen.segment}) in {out}")
    typer.echo(f"examples: {out / 'sheet.png'}")
