import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from infra import processes

# Answers on the socket that it is handed, and has a child that outlives SIGTERM.
STUBBORN = """
import signal, socket, subprocess, sys, time
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf])
listener = socket.socket(fileno=int(sys.argv[1]))
print("child", child.pid, flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\ntrue")
    connection.close()
"""


def start(tmp_path: Path, program: str) -> processes.Server:
    listener = processes.listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-c", program, str(listener.fileno())]
    return processes.start(
        "test server",
        command,
        environment=os.environ,
        url=url,
        health=url,
        log=tmp_path / "logs" / "server.log",
        listener=listener,
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_server_answers_and_stops_with_its_children(tmp_path: Path) -> None:
    server = start(tmp_path, STUBBORN)
    processes.wait_until_healthy(server, timeout=20)
    child = int(server.log.read_text().split()[1])
    assert alive(child)
    processes.stop(server, grace=5)
    assert server.process.returncode is not None
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)
    assert not processes.answers(server.url)


def test_server_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = start(tmp_path, "print('no such table'); raise SystemExit(3)")
    with pytest.raises(processes.ServerError, match=r"(?s)test server ended with code 3 while starting.*no such table"):
        processes.wait_until_healthy(server, timeout=20)
    processes.stop(server)


def test_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    server = start(tmp_path, "import time; time.sleep(60)")
    try:
        with pytest.raises(processes.ServerError, match=r"did not answer at http://127.0.0.1"):
            processes.wait_until_healthy(server, timeout=0.5)
    finally:
        processes.stop(server)


def test_stop_kills_what_ignores_the_polite_request(tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    server = start(tmp_path, program)
    while not server.log.read_text():
        time.sleep(0.02)
    processes.stop(server, grace=0.3)
    assert server.process.returncode == -signal.SIGKILL


def test_port_in_use_is_no_error() -> None:
    with processes.listen(0) as first:
        taken = first.getsockname()[1]
        with processes.listen(taken) as second:
            host, port = second.getsockname()
            assert host == "127.0.0.1"
            assert port != taken


def test_answers_wants_a_200(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    # A proxy that nobody runs: loopback must not go through it.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert processes.answers(f"{url}/health")
        assert not processes.answers(f"{url}/other")
        server.shutdown()
    assert not processes.answers(f"{url}/health")
    assert not processes.answers("not an address")


def test_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom infra.processes import locked\n"
        "with locked(Path(sys.argv[1])):\n    print(time.monotonic()); time.sleep(0.3); print(time.monotonic())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a" / "lock")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    spans = sorted(tuple(map(float, process.communicate()[0].split())) for process in running)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


def test_waiting_for_a_lock_can_be_given_up(tmp_path: Path) -> None:
    said: list[str] = []

    def give_up() -> None:
        said.append("asked")
        if len(said) == 4:
            raise InterruptedError

    with (
        processes.locked(tmp_path / "lock"),
        pytest.raises(InterruptedError),
        processes.locked(tmp_path / "lock", lambda: said.append("waits"), give_up),
    ):
        pass
    assert said == ["waits", "asked", "asked", "asked"]
    with processes.locked(tmp_path / "lock", lambda: said.append("waits")):
        assert len(said) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_in_order(number: signal.Signals) -> None:
    program = (
        "import os, signal, sys, time\nfrom infra.processes import orderly_end\nnumber = int(sys.argv[1])\n"
        "signal.signal(number, signal.SIG_DFL)\n"  # also where the tests were started by nohup
        "with orderly_end():\n    try:\n        os.kill(os.getpid(), number); time.sleep(5)\n"
        "    finally:\n        print('stopped')"
    )
    done = subprocess.run([sys.executable, "-c", program, str(int(number))], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (128 + number, "stopped")


def test_handler_of_somebody_else_is_left_alone() -> None:
    def own(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, own)
    try:
        with processes.orderly_end():
            assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_log_tail_has_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert "is empty" in processes.log_tail(log)
    log.write_text("\n".join(str(number) for number in range(100)))
    assert processes.log_tail(log, lines=2).splitlines()[1:] == ["98", "99"]


def test_listening_is_on_loopback_only() -> None:
    with processes.listen(0) as listener, socket.socket() as client:
        assert listener.getsockname()[0] == "127.0.0.1"
        client.connect(listener.getsockname())
