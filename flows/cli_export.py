"""The command `heml export`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared


def export(
    store: Annotated[Path, typer.Option(help="segment store")],
    node: Annotated[str, typer.Option(help="name of a node")],
    out: Annotated[Path, typer.Option(help="folder for the pictures")],
    tree: Annotated[str, typer.Option(help="a preset, a YAML file, or auto")] = "auto",
    fill: Annotated[str, typer.Option(help="of what is not in the node")] = "black",
    framing: Annotated[str, typer.Option(help="full: the whole photo; crop: a square about the part")] = "full",
    limit: Annotated[int | None, typer.Option(help="so many of each split only")] = None,
) -> None:
    """Write what a node sees of each photo, in full size."""
    if limit is not None:
        shared.check_count("--limit", limit, 1)
    from flows.trees import resolve_tree
    from tasks.segments.export import export_node
    from tasks.segments.store import open_store

    opened = open_store(store)
    written = export_node(opened, resolve_tree(tree, opened)[node], fill, out, limit, framing)
    typer.echo(f"{written} pictures of {node} in {out}")
