"""The command `heml deflate`."""

from pathlib import Path
from typing import Annotated

import typer

from flows import cli_options as shared
from flows.cli_model import Model
from flows.terminal import prefect_at_terminal
from infra.settings import load_settings


def deflate(
    model: Model,
    store: Annotated[Path, typer.Option(help="the store that it was trained on", callback=shared.check_store)],
    out: Annotated[Path, typer.Option(help="folder of stores, trees and deflation.md")],
    group: Annotated[str | None, typer.Option(help="group, the store's column, or a segment: has it or not")] = None,
    plan: Annotated[Path | None, typer.Option(help="a plan, or bias.json; else the store is audited first")] = None,
) -> None:
    """New samples against a shortcut, the nodes that show it trained anew, and before beside after on photos."""
    with prefect_at_terminal():
        from flows.deflate import deflate as run
        from flows.parameters import DeflateParameters
        from infra.runners import task_runner

        parameters = DeflateParameters(model=model, store=store, out=out, group=group, plan=plan)
        run.with_options(task_runner=task_runner(load_settings()))(parameters)
