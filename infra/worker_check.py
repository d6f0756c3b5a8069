"""What the workers of a Dask cluster have to offer, have installed, reach and see, asked of the workers themselves."""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from distributed import Client

from infra import processes
from tasks.errors import InputError


def offered_resources(client: Client) -> list[dict[str, float]]:
    """What each worker announces."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [dict(worker["resources"]) for worker in workers]


def are_offered(needs: Mapping[str, float], offers: Sequence[Mapping[str, float]]) -> bool:
    """Whether one worker offers all that a task needs."""
    return any(all(offer.get(name, 0) >= amount for name, amount in needs.items()) for offer in offers)


def check_workers(client: Client, where: str, server: str, home: Path) -> None:
    """Ask the workers that are there now.

    Args:
        client: of their scheduler.
        where: how messages call the cluster.
        server: address of Prefect's API.
        home: the folder of results, which all workers share.

    Raises:
        InputError: a worker lacks this project, does not reach the server, or does not see the home.
    """
    try:
        reached = client.run(processes.answers, f"{server}/health")
    except ModuleNotFoundError as error:
        raise InputError(
            f"workers of {where} lack the module {error.name}: install this project where they run"
        ) from error
    if lost := sorted(worker for worker, reaches in reached.items() if not reaches):
        raise InputError(
            f"the Dask worker {lost[0]} does not reach the Prefect server at {server}: set PREFECT_API_URL to an "
            "address that all workers reach"
        )
    home.mkdir(parents=True, exist_ok=True)
    # A folder of that name may well be there, and be another machine's own.
    mark = home / f".seen-{uuid.uuid4().hex}"
    mark.touch()
    try:
        seen = client.run(Path.exists, mark)
    finally:
        mark.unlink()
    if blind := sorted(worker for worker, sees in seen.items() if not sees):
        raise InputError(
            f"the Dask worker {blind[0]} does not see the folder {home} (HEML_HOME): put it where all workers find it "
            "under the same name"
        )


def listed(resources: Mapping[str, float]) -> str:
    """Resources as `dask worker --resources` takes them."""
    return ",".join(f"{name}={amount:g}" for name, amount in sorted(resources.items())) or "nothing"
