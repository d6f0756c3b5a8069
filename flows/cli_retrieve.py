"""The command `heml retrieve`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import Model, open_model
from infra.settings import load_settings


def retrieve(
    model: Model,
    store: shared.StoreOfClasses,
    out: Annotated[Path, typer.Option(help="folder of retrieval.json, retrieval.md and the sheets")],
    node: Annotated[str | None, typer.Option(help="name of a node (default: the root)")] = None,
    episodes: Annotated[int, typer.Option(help="few-shot tasks that are drawn; 0: retrieval alone")] = 600,
    ways: Annotated[int, typer.Option(help="classes of an episode")] = 5,
    queries: Annotated[int, typer.Option(help="queries of a class in an episode")] = 15,
    seed: Annotated[int, typer.Option(help="of the episodes")] = 0,
) -> None:
    """Retrieval and few-shot classification at a node, on a store's validation split, with maps of its answers."""
    typer.echo(f"opening {model}")
    from tasks.explanation.retrieval_report import write_retrieval_report
    from tasks.metric.episodes import EpisodeOptions
    from tasks.segments.store import open_store

    options = EpisodeOptions(ways=ways, queries=queries, episodes=episodes, seed=seed) if episodes else None
    trained = open_model(model)
    name = node or trained.tree.root.name
    report = write_retrieval_report(trained, open_store(store), name, options, load_settings().decoded, out)
    table = report.table()
    for head, cell in table.rows:
        typer.echo(f"{head:>26}  {cell}")
    for note in table.notes:
        typer.echo(note)
    typer.echo(f"written: {', '.join(str(out / file) for file in ('retrieval.json', 'retrieval.md', *report.sheets))}")
