"""The command `heml search`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import Model, decision_choice, open_model
from infra.settings import load_settings


def search(
    photo: Annotated[Path, typer.Argument(help="a photo")],
    model: Model,
    store: shared.StoreOfClasses,
    node: Annotated[str, typer.Option(help="by which node of the tree, such as hair")],
    out: Annotated[Path, typer.Option(help="folder of search.png and search.json")],
    top: Annotated[int, typer.Option(help="so many photos")] = 12,
    mask: Annotated[Path | None, typer.Option(help="its mask; else the model's segmenter makes it")] = None,
    decision: shared.Decision = "auto",
) -> None:
    """The most similar photos of a store by one part. An index is built once and kept beside the store."""
    typer.echo(f"opening {model}")
    from tasks.explanation.plain_text import drawable
    from tasks.explanation.search_files import search_file
    from tasks.segments.store import open_store

    choice, trained = decision_choice(decision), open_model(model)
    searched = search_file(
        trained,
        open_store(store),
        photo,
        mask,
        node,
        out,
        decision=choice,
        top=top,
        decoded=load_settings().decoded,
    )
    for rank, found in enumerate(searched.found, start=1):
        typer.echo(f"{rank:>3}  {found.distance:<#9.3g}  {drawable(found.image_id)}  {drawable(found.label)}")
    typer.echo(f"{node}, {searched.decision} decision, {searched.images} photos; sheet: {out / 'search.png'}")
