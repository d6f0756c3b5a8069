"""MLflow's user interface over the runs of this home, or the MLflow server that the settings name."""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager

from infra import processes
from infra.exposure import LOCAL, Exposure
from infra.running import running_server
from infra.settings import Settings
from tasks.errors import InputError

PREFERRED_PORT = 5000


def starting(settings: Settings) -> AbstractContextManager[None]:
    """The lock that a start holds, as does ``MlflowTracker.prepare``: two at once would both create the tables."""
    return processes.locked(settings.home / "mlflow.lock")


def existing_server(settings: Settings) -> str | None:
    """The address of the server to use, if there is one.

    Raises:
        InputError: ``mlflow_uri`` is the address of a server, and nobody answers there.
    """
    uri = settings.tracking_uri.rstrip("/")
    if uri.startswith(("http://", "https://")):
        if not processes.answers(f"{uri}/health", timeout=5):
            raise InputError(f"no MLflow server answers at {uri} (HEML_MLFLOW_URI): start it, or unset HEML_MLFLOW_URI")
        return uri
    return running_server(settings, "mlflow")


def start_server(
    settings: Settings,
    exposure: Exposure = LOCAL,
    *,
    port: int = PREFERRED_PORT,
    database: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> processes.Server:
    """Start a server over the tracking database and return at once.

    Args:
        settings: where the runs' files and its log are.
        exposure: whom it answers.
        port: that it listens on, if it is free.
        database: SQLAlchemy's address of it; by default the settings' tracking database.
        variables: of its environment, such as where the database's password is.
    """
    # MLflow takes a port number, not a socket: freed here, it could be lost to another process, which the log tells.
    with processes.listen(port, exposure.host) as listener:
        number = listener.getsockname()[1]
    url = f"http://{exposure.called}:{number}"
    # The names come with and without the port, which is part of what a browser sends.
    names = ",".join(f"{name}{suffix}" for name in exposure.names for suffix in ("", f":{number}"))
    command = [sys.executable, "-m", "mlflow", "server", "--host", exposure.host, "--port", str(number)]
    command += ["--workers", "1", "--backend-store-uri", database or settings.tracking_uri, "--allowed-hosts", names]
    # Artifacts are read from the folder where the runs wrote them, not passed through the server.
    command += ["--no-serve-artifacts", "--default-artifact-root", settings.mlflow_artifacts.as_uri()]
    settings.home.mkdir(parents=True, exist_ok=True)
    return processes.start(
        "MLflow server",
        command,
        environment={
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            # Eight more processes that judge language models, and half of the start.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **(variables or {}),
        },
        url=url,
        health=f"http://{exposure.probed}:{number}/health",
        log=settings.logs / "mlflow.log",
    )
