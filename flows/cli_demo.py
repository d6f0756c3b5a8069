"""The command `heml demo`."""

from contextlib import nullcontext
from typing import Annotated

import typer

from flows.terminal import prefect_at_terminal
from infra.settings import load_settings


def demo(
    keep: Annotated[bool, typer.Option(help="leave both servers running afterwards, until Ctrl-C")] = False,
) -> None:
    """The whole job on synthetic portraits: segment, train, explain."""
    from infra.services import up

    with up(load_settings()) if keep else nullcontext() as services, prefect_at_terminal():
        from flows.demo import run_demo

        run_demo()
        if services is None:
            typer.echo("servers    `.venv/bin/heml up` starts Prefect's UI and MLflow's and says where they are")
        else:
            typer.echo(f"Prefect    {services.prefect_ui}\nMLflow     {services.mlflow}\nCtrl-C stops both.")
            services.wait()
