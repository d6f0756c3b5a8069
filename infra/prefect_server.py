"""The Prefect server that a run reports to: the one that is there, or a temporary one of our own.

Without a server, Prefect starts one for the flow and one more for every Dask worker: minutes instead of seconds.
"""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from http.client import HTTPException

from infra import processes
from infra.exposure import LOCAL, Exposure
from infra.running import running_server
from infra.settings import Settings
from infra.settling import RECORD_EVERY, settle
from tasks.errors import InputError

PREFERRED_PORT = 4200
APPLICATION = "infra.prefect_app"
"""The module that the server's process runs; importing it here would take seconds."""
ALLOWED_HOSTS = "HEML_SERVER_HOSTS"
"""Variable of the server's process: the names that it answers, separated by commas."""


@contextmanager
def prefect_server(settings: Settings, while_starting: Callable[[], object] | None = None) -> Iterator[str]:
    """Yield the API's address of a Prefect server, in effect for this process and all that it starts.

    In this order: the server that ``PREFECT_API_URL`` names, the one that ``heml up`` runs for this home, a
    temporary one that ends with the context. Its database is under ``home``, so that runs are found again.

    Args:
        settings: where the server keeps its data.
        while_starting: called once the server starts and before it is waited for. Importing what the flow needs
            here takes its seconds beside the server's own.

    Raises:
        InputError: no server answers at ``PREFECT_API_URL``.
        ServerError: the server that was started died or did not answer within 120 s.
    """
    prepare = while_starting or (lambda: None)
    if there := existing_server(settings):
        with environment(client_environment(settings, there)):
            prepare()
            yield there
        return
    with processes.orderly_end():
        with starting(settings):
            server = start_server(settings)
            try:
                with environment(client_environment(settings, server.url)):
                    prepare()
                    processes.wait_until_healthy(server)
            except BaseException:
                processes.stop(server)
                raise
        try:
            with environment(client_environment(settings, server.url)):
                began = datetime.now(UTC)
                try:
                    yield server.url
                finally:
                    settle(server.url, began)
        finally:
            processes.stop(server)


def starting(settings: Settings) -> AbstractContextManager[None]:
    """The lock that a start holds: two first starts on one home at once would both create the tables."""
    return processes.locked(settings.home / "prefect.lock")


def existing_server(settings: Settings) -> str | None:
    """The API's address of the server to use, if there is one.

    Raises:
        InputError: no server answers at ``PREFECT_API_URL``.
    """
    if given := os.environ.get("PREFECT_API_URL"):
        given = given.rstrip("/")
        if not _is_prefect(given):
            raise InputError(
                f"no Prefect server answers at {given} (PREFECT_API_URL): start one with `heml up` "
                "or unset PREFECT_API_URL"
            )
        return given
    return running_server(settings, "prefect")


def start_server(
    settings: Settings,
    exposure: Exposure = LOCAL,
    *,
    port: int = PREFERRED_PORT,
    database: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> processes.Server:
    """Start a server for this home and return at once.

    Args:
        settings: where it keeps its data and its log.
        exposure: whom it answers.
        port: that it listens on, if it is free.
        database: SQLAlchemy's address of it; by default an SQLite file under the home.
        variables: of its environment, such as where the database's password is.
    """
    listener = processes.listen(port, exposure.host)
    number = listener.getsockname()[1]
    url = f"http://{exposure.called}:{number}/api"
    # What `prefect server start --background` runs, less the command line's own seconds.
    command = [sys.executable, "-m", "uvicorn", "--factory", f"{APPLICATION}:application"]
    command += ["--fd", str(listener.fileno()), "--log-level", "warning"]
    (settings.home / "prefect").mkdir(parents=True, exist_ok=True)
    environment = _server_environment(settings, url, listener, database)
    return processes.start(
        "Prefect server",
        command,
        environment={**environment, ALLOWED_HOSTS: ",".join(exposure.names), **(variables or {})},
        url=url,
        health=f"http://{exposure.probed}:{number}/api/health",
        log=settings.logs / "prefect.log",
        listener=listener,
    )


def client_environment(settings: Settings, url: str) -> dict[str, str]:
    """Variables of a process whose flows and tasks report to the server at ``url``."""
    given = os.environ.get("PREFECT_API_URL")
    variables = {
        "PREFECT_API_URL": url,
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(settings.results),
        # A server whose database is starting again answers so; the last state of a flow must not be lost for it.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,502,504",
    }
    # With a server of the user's own, Prefect's home is the user's as well: profiles and credentials lie there.
    return variables if given else {**variables, "PREFECT_HOME": str(settings.home / "prefect"), "DO_NOT_TRACK": "1"}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, in effect for Prefect even where it is imported already; put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    _refresh()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _refresh()


def _is_prefect(url: str) -> bool:
    try:
        with processes.opener(url).open(f"{url}/health", timeout=5) as response:
            # An address without its /api gives 200 as well: the page of the user interface.
            return bool(json.load(response) is True)
    except urllib.error.HTTPError as error:
        # A server that wants a key, which Prefect's client will send.
        return error.code in {401, 403}
    except (OSError, ValueError, HTTPException):
        return False


def _refresh() -> None:
    # Prefect reads the environment once, when it is imported.
    if context := sys.modules.get("prefect.context"):
        context.refresh_global_settings_context()


def _server_environment(settings: Settings, url: str, listener: socket.socket, database: str | None) -> dict[str, str]:
    # A user's own PREFECT_ variables are about another server: its database, its authentication.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    home = settings.home / "prefect"
    return {
        **inherited,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database or f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_API_HOST": listener.getsockname()[0],
        "PREFECT_SERVER_API_PORT": str(listener.getsockname()[1]),
        "PREFECT_SERVER_UI_API_URL": url,
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Looking through all installed packages for block types imports Dask into the server, a second or more. What a
        # flow saves as a block is registered then.
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
        # Not the task-run recorder's batches: with a short flush interval an idle server takes a whole core.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": str(RECORD_EVERY),
    }
