"""The command `heml explain`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import Model, open_model
from flows.writable import check_writable
from tasks.errors import InputError


def explain(
    model: Model,
    out: Annotated[Path, typer.Option(help="folder of index.html, tree.png and explanation.json")],
    photo_a: Annotated[Path | None, typer.Argument(help="a photo")] = None,
    photo_b: Annotated[Path | None, typer.Argument(help="another one")] = None,
    pairs: Annotated[Path | None, typer.Option(help="instead: a CSV of photo_a, photo_b, mask_a, mask_b")] = None,
    mask_a: Annotated[Path | None, typer.Option(help="the first's mask; else the model's segmenter makes it")] = None,
    mask_b: Annotated[Path | None, typer.Option(help="the other's mask; else the model's segmenter makes it")] = None,
    decision: shared.Decision = "auto",
) -> None:
    """Why two photos are alike: the tree of distances with a map at every node. With --pairs, a page for each pair."""
    if (pairs is None and photo_b is None) or (pairs is not None and (photo_a or mask_a or mask_b)):
        raise InputError("explain takes either two photos, with their masks, or --pairs FILE.csv with one pair a row")
    check_writable(out)
    typer.echo(f"opening {model}")
    from tasks.explanation.explain_pairs import explain_pairs
    from tasks.explanation.explain_photos import explain_photos
    from tasks.explanation.pair_table import read_pair_table
    from tasks.explanation.wording import verdict

    rows = read_pair_table(pairs) if pairs else ()
    trained = open_model(model, decision)
    if photo_a and photo_b:
        typer.echo(verdict(explain_photos(trained, (photo_a, photo_b), (mask_a, mask_b), out)))
    for row, explanation in zip(rows, explain_pairs(trained, rows, out), strict=True):
        typer.echo(f"{row.place.folder}  {verdict(explanation)}")
    typer.echo(f"page: {out / 'index.html'}")
