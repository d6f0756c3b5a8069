"""`heml up`: both servers for this home, found by every later run until Ctrl-C."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra import mlflow_server, prefect_server, processes, running
from infra.exposure import LOCAL, Exposure
from infra.settings import Settings
from infra.settling import settle


@dataclass(frozen=True)
class Services:
    """Addresses of both servers.

    Attributes:
        prefect: of the API; the user interface is the same without ``/api``.
        mlflow: of the user interface.
        started: those of the two that this process started; empty if both were running.
    """

    prefect: str
    mlflow: str
    started: tuple[processes.Server, ...] = field(repr=False)

    @property
    def prefect_ui(self) -> str:
        """Address of Prefect's user interface."""
        return self.prefect.removesuffix("/api")

    def wait(self) -> None:
        """Return at Ctrl-C; at once if there is nothing that this process started.

        Raises:
            ServerError: a server died.
        """
        with suppress(KeyboardInterrupt):
            while self.started:
                for server in self.started:
                    if (code := server.process.poll()) is not None:
                        raise processes.ServerError(
                            f"the {server.name} ended with code {code}. {processes.log_tail(server.log)}"
                        )
                time.sleep(0.5)


@contextmanager
def up(settings: Settings, exposure: Exposure = LOCAL) -> Iterator[Services]:
    """Start what is not running yet, leave word of it in services.json, and stop it at the end.

    Args:
        settings: whose home the servers are of.
        exposure: whom they answer.

    Raises:
        InputError: ``PREFECT_API_URL`` or ``mlflow_uri`` names a server that does not answer.
        ServerError: a server died or did not answer within 120 s.
    """
    started: dict[running.Service, processes.Server] = {}
    began = datetime.now(UTC)
    with processes.orderly_end():
        try:
            # Held while starting only: a second `heml up` waits and then finds these servers.
            with prefect_server.starting(settings), mlflow_server.starting(settings):
                prefect = prefect_server.existing_server(settings)
                mlflow = mlflow_server.existing_server(settings)
                # Both at once: each spends its time importing on one core.
                if prefect is None:
                    started["prefect"] = prefect_server.start_server(settings, exposure)
                if mlflow is None:
                    started["mlflow"] = mlflow_server.start_server(settings, exposure)
                for service, server in started.items():
                    processes.wait_until_healthy(server)
                    running.publish(settings, service, server)
            yield Services(prefect or started["prefect"].url, mlflow or started["mlflow"].url, tuple(started.values()))
        finally:
            try:
                if "prefect" in started:
                    settle(started["prefect"].url, began)
            finally:
                for service, server in started.items():
                    running.withdraw(settings, service)
                    processes.stop(server)
