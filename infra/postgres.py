"""PostgreSQL of this machine: a database cluster of our own under the home, on loopback, with a password file.

No password appears on a command line: clients find it in the file that ``PGPASSFILE`` names.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from infra import processes
from infra.private_file import write_private
from infra.settings import Settings
from tasks.errors import InputError

PREFERRED_PORT = 5432
USER = "heml"
"""The role that owns both databases."""
ACCOUNT = "postgres"
"""Whose process the server is where we are root, which PostgreSQL refuses to run as."""
SETTINGS = {"listen_addresses": processes.LOOPBACK, "unix_socket_directories": "", "max_connections": "100"}


@dataclass(frozen=True)
class Postgres:
    """A database cluster.

    Attributes:
        folder: of its data, the password file beside it.
        port: on loopback.
    """

    folder: Path
    port: int

    @property
    def passfile(self) -> Path:
        """What ``PGPASSFILE`` is to name: readable by us alone."""
        return self.folder.with_name("pgpass")

    @property
    def client_environment(self) -> dict[str, str]:
        """Variables of a process that connects."""
        return {"PGPASSFILE": str(self.passfile)}

    def url(self, database: str, driver: str = "") -> str:
        """The address of a database, without the password; ``driver`` as SQLAlchemy names it, ``asyncpg``."""
        return f"postgresql{driver and f'+{driver}'}://{USER}@{processes.LOOPBACK}:{self.port}/{database}"


def open_cluster(settings: Settings) -> Postgres:
    """The database cluster of this home, made if there is none; it does not run yet.

    Raises:
        InputError: PostgreSQL is not installed, or its account cannot enter the home.
        ServerError: it could not be made.
    """
    folder, initdb = settings.home / "postgres" / "data", _program("initdb")
    with processes.listen(PREFERRED_PORT) as listener:
        postgres = Postgres(folder, listener.getsockname()[1])
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not (folder / "PG_VERSION").exists():
        password = secrets.token_urlsafe(24)
        write_private(folder.with_name("password"), f"{password}\n")
        _own(folder.parent, folder.with_name("password"))
        fresh = folder.with_name("data.new")  # renamed when it is whole
        shutil.rmtree(fresh, ignore_errors=True)
        options = ["--pgdata", str(fresh), "--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8"]
        _run([initdb, *options, "--pwfile", str(folder.with_name("password")), "--no-locale"])
        fresh.replace(folder)
    password = folder.with_name("password").read_text().strip()
    write_private(postgres.passfile, f"{processes.LOOPBACK}:*:*:{USER}:{password}\n")
    return postgres


def start(postgres: Postgres, settings: Settings) -> processes.Server:
    """Start the server and return at once; `create_databases` waits until it takes queries."""
    command = [_program("postgres"), "-D", str(postgres.folder), "-p", str(postgres.port)]
    command += [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    address = f"tcp://{processes.LOOPBACK}:{postgres.port}"
    return processes.start(
        "PostgreSQL server",
        command,
        environment={name: value for name, value in os.environ.items() if not name.startswith("PG")},
        url=address,
        health=address,
        log=settings.logs / "postgres.log",
        user=_account(),
    )


def create_databases(postgres: Postgres, names: Sequence[str], timeout: float = 60.0) -> None:
    """Wait until the server takes queries, and create the databases that are missing.

    Raises:
        ServerError: no query was answered in ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while (there := _query(postgres, "SELECT datname FROM pg_database")) is None:
        if time.monotonic() > deadline:
            raise processes.ServerError(f"PostgreSQL at port {postgres.port} answered no query in {timeout:.0f} s")
        time.sleep(0.2)
    for name in names:
        if name not in there.split():
            _query(postgres, f'CREATE DATABASE "{name}"')


def _query(postgres: Postgres, statement: str) -> str | None:
    """What `psql` prints; None if it failed."""
    command = [_program("psql"), "--no-password", "--tuples-only", "--no-align", "--command", statement]
    with suppress(subprocess.SubprocessError):
        return subprocess.run(
            [*command, postgres.url("postgres")],
            env={**os.environ, **postgres.client_environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
    return None


def _program(name: str) -> str:
    """A program of PostgreSQL, of the newest version that is installed.

    Raises:
        InputError: there is none.
    """
    # Debian keeps the server's programs off the PATH, in a folder a version.
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda bin_: int(bin_.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, versions), os.environ.get("PATH", "")]))
    if found is None:
        raise InputError(
            f"the profile cluster needs PostgreSQL, and this machine has no {name}: install it, on Debian with "
            "`apt-get install postgresql`"
        )
    return found


def _account() -> str | None:
    return ACCOUNT if os.geteuid() == 0 else None


def _own(*paths: Path) -> None:
    """Give paths to PostgreSQL's account where we are root.

    Raises:
        InputError: there is no such account, or it cannot enter the folder.
    """
    if (account := _account()) is None:
        return
    try:
        entry = pwd.getpwnam(account)
    except KeyError as error:
        raise InputError(
            f"PostgreSQL does not run as root, and this machine has no account {account}: run `heml up` as another user"
        ) from error
    for path in paths:
        os.chown(path, entry.pw_uid, entry.pw_gid)
    entered = subprocess.run(["test", "-w", str(paths[0])], user=account, extra_groups=[], check=False)
    if entered.returncode:
        raise InputError(
            f"PostgreSQL does not run as root, and its account {account} cannot enter {paths[0]}: give a --home that "
            "all users may enter, or run `heml up` as another user"
        )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        list(command), capture_output=True, text=True, check=False, user=_account(), extra_groups=[], cwd="/"
    )
    if done.returncode:
        raise processes.ServerError(f"{Path(command[0]).name} failed: {' '.join(done.stderr.split())}")
