"""The command `heml up`: the servers of this machine, until Ctrl-C."""

from typing import Annotated, Literal

import typer

from infra.exposure import Exposure
from infra.processes import LOOPBACK
from infra.settings import load_settings

Profile = Literal["laptop", "cluster"]


def up(
    profile: Annotated[
        Profile,
        typer.Option(help="laptop: Prefect and MLflow on SQLite; cluster: both on PostgreSQL, and Dask's workers"),
    ] = "laptop",
    host: Annotated[str, typer.Option(help="address that Prefect and MLflow listen on; 0.0.0.0 is all")] = LOOPBACK,
    allowed_hosts: Annotated[
        str, typer.Option(help="names by which other machines call this one, separated by commas; needed with --host")
    ] = "",
) -> None:
    """Start Prefect's server and MLflow's UI on this machine, until Ctrl-C."""
    names = tuple(name.strip() for name in allowed_hosts.split(",") if name.strip())
    exposure = Exposure(host, names)
    if profile == "cluster":
        _cluster(exposure)
        return
    from infra.services import up as services_up

    with services_up(load_settings(), exposure) as services:
        typer.echo(f"Prefect  {services.prefect_ui}\nMLflow   {services.mlflow}")
        typer.echo("Ctrl-C stops them." if services.started else "Both were running already.")
        services.wait()


def _cluster(exposure: Exposure) -> None:
    from infra.cluster_profile import cluster_up

    typer.echo("starting PostgreSQL, Prefect, MLflow, the Dask scheduler and its workers")
    with cluster_up(load_settings(), exposure, typer.echo) as (cluster, supervisor):
        typer.echo(f"Prefect  {cluster.prefect_ui}\nMLflow   {cluster.mlflow}\nDask     {cluster.dask}")
        typer.echo(f"In other terminals: . {cluster.file}\nCtrl-C stops them all; what ends before is started again.")
        supervisor.watch()
