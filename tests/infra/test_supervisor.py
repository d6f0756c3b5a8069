"""Components that end are started again, in the same place."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import processes
from infra.supervisor import Component, Supervisor

SERVER = "from http.server import *; import sys; HTTPServer(('127.0.0.1', int(sys.argv[1])), Quiet).serve_forever()"
QUIET = "class Quiet(SimpleHTTPRequestHandler):\n    def log_message(self, *_): pass\n"


def server_at(port: int, folder: Path) -> Callable[[], processes.Server]:
    """Starts a page server; the program comes in a file, so that its class can be defined."""
    program = folder / "server.py"
    first, last = SERVER.split("; HTTPServer")
    program.write_text(f"{first}\n{QUIET}HTTPServer{last}\n")
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(program), str(port)]
    return lambda: processes.start(
        "page server", command, environment=os.environ, url=url, health=url, log=folder / "page.log"
    )


def free_port() -> int:
    with processes.listen(0) as listener:
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_component_is_started_again_and_its_log_kept(tmp_path: Path) -> None:
    said: list[str] = []
    ready: list[int] = []
    supervisor = Supervisor(said.append)
    first = supervisor.start(
        Component(server_at(free_port(), tmp_path), ready=lambda server: ready.append(server.process.pid))
    )
    stopped = threading.Event()

    def watch() -> None:
        try:
            supervisor.watch(poll=0.05)
        except KeyboardInterrupt:
            pass
        finally:
            stopped.set()

    threading.Thread(target=watch, daemon=True).start()
    first.process.send_signal(signal.SIGKILL)
    wait_for(lambda: len(ready) == 2)
    assert ready[0] == first.process.pid != ready[1]
    assert processes.answers(first.url)
    [line] = said
    assert line.startswith("the page server ended with code -9; it is started again")
    assert len(list(tmp_path.glob("page.*.log"))) == 1
    supervisor.stop()
    assert not processes.answers(first.url)


def test_what_ends_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.supervisor.LONGEST_PAUSE", 0.01)
    starts = []
    alive = server_at(free_port(), tmp_path)

    def start() -> processes.Server:
        starts.append(1)
        if len(starts) == 1:
            return alive()
        command = [sys.executable, "-c", "print('no room left'); raise SystemExit(3)"]
        url = "tcp://127.0.0.1:1"
        return processes.start(
            "page server", command, environment=os.environ, url=url, health=url, log=tmp_path / "page.log"
        )

    supervisor = Supervisor(lambda line: None)
    supervisor.start(Component(start)).process.kill()
    with pytest.raises(
        processes.ServerError, match=r"ended 5 times within 120 s, the last time with code 3.*(?s:.*)no room left"
    ):
        supervisor.watch(poll=0.01)
    assert len(starts) == 5
    supervisor.stop()


def test_what_runs_but_does_not_answer_is_stopped_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = processes.wait_until_healthy
    monkeypatch.setattr("infra.supervisor.LONGEST_PAUSE", 0.01)
    alive, started = server_at(free_port(), tmp_path), []

    def start() -> processes.Server:
        if len(started) == 1:
            command, url = [sys.executable, "-c", "import time; time.sleep(600)"], "tcp://127.0.0.1:1"
            server = processes.start(
                "page server", command, environment=os.environ, url=url, health=url, log=tmp_path / "page.log"
            )
        else:
            server = alive()
        started.append(server)
        return server

    supervisor = Supervisor(lambda line: None)
    supervisor.start(Component(start)).process.kill()
    started[0].process.wait()
    monkeypatch.setattr("infra.supervisor.processes.wait_until_healthy", lambda server: waited(server, timeout=0.5))
    supervisor._revive(0)
    assert started[1].process.poll() is not None
    monkeypatch.setattr("infra.supervisor.processes.wait_until_healthy", lambda server: waited(server))
    supervisor._revive(0)
    assert processes.answers(started[2].url)
    supervisor.stop()


def test_what_was_started_is_stopped_where_the_next_cannot_be(tmp_path: Path) -> None:
    def missing() -> processes.Server:
        raise OSError("no such program")

    supervisor = Supervisor(lambda line: None)
    started: list[processes.Server] = []
    first = server_at(free_port(), tmp_path)
    with pytest.raises(OSError, match="no such program"):
        supervisor.start_all([Component(lambda: started.append(first()) or started[0]), Component(missing)])
    supervisor.stop()
    assert started[0].process.poll() is not None


def test_start_that_fails_is_said_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    component = Component(
        lambda: processes.start(
            "page server", command, environment=os.environ, url="x", health="tcp://127.0.0.1:1", log=tmp_path / "log"
        )
    )
    with pytest.raises(processes.ServerError, match="ended with code 7 while starting"):
        Supervisor(lambda line: None).start(component)


def test_a_connection_is_an_answer_of_a_server_without_pages() -> None:
    with processes.listen(0) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        assert processes.answers(address)
    assert not processes.answers(address)
    assert not processes.answers("tcp://")


def test_listening_elsewhere_is_asked_for() -> None:
    with processes.listen(0, "0.0.0.0") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
    with pytest.raises(OSError):
        processes.listen(0, "203.0.113.9")
