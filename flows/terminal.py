"""A flow started by a person at a terminal: a Prefect server for its time, and its lines on the screen."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import typer

from infra.prefect_server import prefect_server
from infra.settings import load_settings

FLOWS = ("flows.prepare_data", "flows.train_tree")


@contextmanager
def prefect_at_terminal() -> Iterator[str]:
    """Yield the API's address of the server that runs for this home, or of one that ends with the context.

    That it starts is said at once: Prefect and torch take seconds.

    Raises:
        InputError: `PREFECT_API_URL` names a server that does not answer.
    """

    def import_flows() -> None:
        for name in FLOWS:
            import_module(name)

    typer.echo("starting Prefect and torch")
    with prefect_server(load_settings(), while_starting=import_flows) as address:
        console = import_module("flows.console")
        token = console.at_terminal.set(True)
        try:
            yield address
        finally:
            console.at_terminal.reset(token)
