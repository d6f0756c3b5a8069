"""What `heml up` left word of: services.json under the home, and whether the servers in it still run and are ours."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]  # its wheel has no types

from infra import processes
from infra.settings import Settings

Service = Literal["prefect", "mlflow"]


@dataclass(frozen=True)
class Entry:
    """A running server.

    Attributes:
        url: what its clients are given.
        health: address that answers 200.
        pid: of its process.
        created: when that process began, seconds since 1970: together with ``pid`` it names one process.
    """

    url: str
    health: str
    pid: int
    created: float


def running_server(settings: Settings, service: Service) -> str | None:
    """The address of the server that ``heml up`` runs for this home; None if there is none.

    A port alone proves nothing: after a reboot, somebody else's server may answer on it.
    """
    entry = _read(settings).get(service)
    if entry is None or _created(entry.pid) != entry.created or not processes.answers(entry.health):
        return None
    return entry.url


def publish(settings: Settings, service: Service, server: processes.Server) -> None:
    """Leave word of a server, for other processes with the same home."""
    pid = server.process.pid
    entry = Entry(server.url, server.health, pid, _created(pid) or 0.0)
    _write(settings, {**_read(settings), service: entry})


def withdraw(settings: Settings, service: Service) -> None:
    """Take a server out of the file."""
    _write(settings, {name: entry for name, entry in _read(settings).items() if name != service})


def _created(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _path(settings: Settings) -> Path:
    return settings.home / "services.json"


def _read(settings: Settings) -> dict[str, Entry]:
    try:
        return {name: Entry(**entry) for name, entry in json.loads(_path(settings).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # Missing, or damaged: no server is known, and the next one writes it anew.
        return {}


def _write(settings: Settings, entries: dict[str, Entry]) -> None:
    path = _path(settings)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({name: asdict(entry) for name, entry in entries.items()}, indent=2))
    temporary.replace(path)
