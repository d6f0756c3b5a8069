"""A server as a child process: started on loopback, waited for until it answers, and stopped with all its children."""

import fcntl
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """A server of ours died or did not answer in time. The message ends with the last lines of its log."""


@dataclass(frozen=True)
class Server:
    """A server that was started here.

    Attributes:
        name: for messages, "Prefect server".
        url: what its clients are given.
        health: address that answers 200 when it is ready, or ``tcp://host:port`` that takes connections.
        log: file that it writes to.
        process: the leader of its own process group.
    """

    name: str
    url: str
    health: str
    log: Path
    process: subprocess.Popen[bytes]


def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    url: str,
    health: str,
    log: Path,
    listener: socket.socket | None = None,
    user: str | None = None,
) -> Server:
    """Start a server in a process group of its own and return at once.

    The group is its own so that Ctrl-C in the terminal reaches us alone: the server outlives the flow, which still
    has its last states to report, and is stopped by ``stop``.

    Args:
        name: for messages.
        command: program and arguments.
        environment: all of its environment variables.
        url: what its clients are to be given.
        health: as in `Server`.
        log: file for its output, begun anew.
        listener: a listening socket to hand down; closed here.
        user: account whose process it is, where we are root; else our own.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    handed = [] if listener is None else [listener.fileno()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=handed,
            user=user,
            extra_groups=None if user is None else [],
        )
    if listener is not None:
        # Ours has to go: with it open, clients of a dead server would wait instead of being refused.
        listener.close()
    return Server(name, url, health, log, process)


def wait_until_healthy(server: Server, timeout: float = 120.0) -> None:
    """Return when the server answers.

    Args:
        server: what ``start`` returned.
        timeout: seconds.

    Raises:
        ServerError: it died, or it took longer.
    """
    deadline = time.monotonic() + timeout
    while not answers(server.health):
        if (code := server.process.poll()) is not None:
            raise ServerError(f"the {server.name} ended with code {code} while starting. {log_tail(server.log)}")
        if time.monotonic() > deadline:
            raise ServerError(
                f"the {server.name} did not answer at {server.health} in {timeout:.0f} s. {log_tail(server.log)}"
            )
        time.sleep(0.05)


def stop(server: Server, grace: float = 10.0) -> None:
    """End the server's whole process group: SIGTERM, then SIGKILL for what is left after ``grace`` seconds."""
    _signal_group(server.process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(grace)
    # The leader may be gone while a child of it is not.
    _signal_group(server.process.pid, signal.SIGKILL)
    server.process.wait()


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether a GET of the address gives 200, or ``tcp://host:port`` a connection, within ``timeout`` seconds."""
    place = urlsplit(url)
    try:
        if place.scheme == "tcp":
            with socket.create_connection((place.hostname or "", place.port or 0), timeout):
                return True
        with opener(url).open(url, timeout=timeout) as response:
            return bool(response.status == 200)
    except (OSError, ValueError, HTTPException):
        return False


def opener(url: str) -> urllib.request.OpenerDirector:
    """What to open an address with: past any proxy if it is on this machine, which a proxy knows nothing about."""
    local = urlsplit(url).hostname in {LOOPBACK, "localhost", "::1"}
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))


def listen(preferred: int, host: str = LOOPBACK) -> socket.socket:
    """A listening socket on the preferred port or, if that is in use, on any free one; on loopback unless told.

    Handed down to a server, it leaves no moment in which another process could take the port.

    Raises:
        OSError: the host is none of this machine's addresses.
    """
    for port in (preferred, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Without it a port stays unusable for a minute after its last server.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError:
            listener.close()
            if port == 0:
                raise
        else:
            return listener
    raise AssertionError("port 0 either binds or raises")


def log_tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for a message."""
    text = log.read_text(errors="replace").strip() if log.exists() else ""
    if not text:
        return f"Its log {log} is empty."
    return f"The end of its log {log}:\n" + "\n".join(text.splitlines()[-lines:])


@contextmanager
def locked(
    path: Path, on_wait: Callable[[], object] = lambda: None, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Hold a lock among processes, of several machines where their file system takes locks; freed if the holder dies.

    Args:
        path: the lock's file; its folder is made.
        on_wait: called once if somebody else holds it; what it raises ends the waiting.
        meanwhile: called again and again while somebody else holds it; what it raises ends the waiting, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        if not _taken(file):
            on_wait()
            while not _taken(file):
                meanwhile()
                time.sleep(0.1)
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that servers are stopped and not left behind.

    Does nothing outside the main thread, or where somebody handles these signals already.
    """
    changed = []
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _exit)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
