"""Prefect's and MLflow's servers: which one is used, and what is left behind."""

import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psutil  # type: ignore[import-untyped]
import pytest

from infra import mlflow_server, prefect_server, processes, running, services
from infra.settings import Settings, load_settings
from infra.tracking import fetch_model, open_tracker
from tasks.errors import InputError


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return load_settings(home=tmp_path / "home", device="cpu")


@pytest.fixture
def page() -> Iterator[str]:
    """A server of somebody else: every address gives a page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401 if self.path.startswith("/locked") else 200)
            self.end_headers()
            self.wfile.write(b"true" if self.path.startswith("/api") else b"<html></html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def dead_address() -> str:
    with processes.listen(0) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def sleeper(tmp_path: Path, url: str) -> processes.Server:
    return processes.start(
        "sleeper", ["sleep", "60"], environment=os.environ, url=url, health=url, log=tmp_path / "sleeper.log"
    )


def test_named_prefect_server_is_used(
    settings: Settings, page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{page}/api/")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "own"))
    called, before = [], os.environ.get("PREFECT_RESULTS_LOCAL_STORAGE_PATH")
    with prefect_server.prefect_server(settings, lambda: called.append(os.environ["PREFECT_API_URL"])) as url:
        assert url == f"{page}/api"
        assert called == [url]
        assert os.environ["PREFECT_HOME"] == str(tmp_path / "own")
        assert os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] == str(settings.results)
    assert os.environ.get("PREFECT_RESULTS_LOCAL_STORAGE_PATH") == before


def test_named_prefect_server_that_does_not_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{dead_address()}/api")
    with (
        pytest.raises(InputError, match=r"no Prefect server answers at .*start one with `heml up` or unset"),
        prefect_server.prefect_server(settings),
    ):
        pass


def test_address_without_api_is_no_prefect_server(
    settings: Settings, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", page)
    with pytest.raises(InputError, match="no Prefect server answers"):
        prefect_server.existing_server(settings)


def test_prefect_server_that_wants_a_key_counts(settings: Settings, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{page}/locked")
    assert prefect_server.existing_server(settings) == f"{page}/locked"


def test_named_mlflow_server(page: str, tmp_path: Path) -> None:
    assert mlflow_server.existing_server(load_settings(home=tmp_path, mlflow_uri=page)) == page
    gone = load_settings(home=tmp_path, mlflow_uri=dead_address())
    with pytest.raises(InputError, match=r"no MLflow server answers at .*HEML_MLFLOW_URI"):
        mlflow_server.existing_server(gone)


def test_published_server_is_found_while_its_process_lives(settings: Settings, page: str, tmp_path: Path) -> None:
    settings.home.mkdir()
    server = sleeper(tmp_path, page)
    try:
        running.publish(settings, "prefect", server)
        assert running.running_server(settings, "prefect") == page
        assert running.running_server(settings, "mlflow") is None
    finally:
        processes.stop(server)
    # The page still answers, but it is not ours any more.
    assert running.running_server(settings, "prefect") is None


def test_other_process_with_the_same_number_is_not_ours(settings: Settings, page: str, tmp_path: Path) -> None:
    settings.home.mkdir()
    server = sleeper(tmp_path, page)
    try:
        running.publish(settings, "mlflow", server)
        path = settings.home / "services.json"
        entries = json.loads(path.read_text())
        entries["mlflow"]["created"] -= 1000
        path.write_text(json.dumps(entries))
        assert running.running_server(settings, "mlflow") is None
    finally:
        processes.stop(server)


def test_server_that_hangs_is_not_running(settings: Settings, tmp_path: Path) -> None:
    settings.home.mkdir()
    server = sleeper(tmp_path, dead_address())
    try:
        running.publish(settings, "prefect", server)
        assert running.running_server(settings, "prefect") is None
        running.withdraw(settings, "prefect")
        assert json.loads((settings.home / "services.json").read_text()) == {}
    finally:
        processes.stop(server)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"prefect": {"pid": 1}}', '{"prefect": 3}'])
def test_damaged_word_of_servers_is_none(settings: Settings, content: str) -> None:
    settings.home.mkdir()
    (settings.home / "services.json").write_text(content)
    assert running.running_server(settings, "prefect") is None


def test_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    with prefect_server.environment({"PREFECT_LOGGING_LEVEL": "INFO", "PREFECT_HOME": "/tmp/x"}):
        assert (os.environ["PREFECT_LOGGING_LEVEL"], os.environ["PREFECT_HOME"]) == ("INFO", "/tmp/x")
    assert os.environ["PREFECT_LOGGING_LEVEL"] == "ERROR"
    assert "PREFECT_HOME" not in os.environ


def test_wait_says_that_a_server_died(tmp_path: Path) -> None:
    server = sleeper(tmp_path, "http://127.0.0.1:1")
    processes.stop(server)
    with pytest.raises(processes.ServerError, match="the sleeper ended with code -15"):
        services.Services("a/api", "b", (server,)).wait()
    services.Services("a/api", "b", ()).wait()
    assert services.Services("http://a/api", "b", ()).prefect_ui == "http://a"


def get(url: str) -> str:
    with processes.opener(url).open(urllib.request.Request(url, headers={"Accept": "text/html"}), timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the home for which both servers run."""
    return load_settings(home=tmp_path_factory.mktemp("home"), device="cpu")


@pytest.fixture(scope="module")
def both(home: Settings) -> Iterator[services.Services]:
    """What `heml up` runs."""
    given = os.environ.pop("PREFECT_API_URL", None)
    try:
        with services.up(home) as running_services:
            yield running_services
            urls = (f"{running_services.prefect}/health", f"{running_services.mlflow}/health")
        # The end of `heml up`, which no test outlives.
        assert [processes.answers(url) for url in urls] == [False, False]
        assert json.loads((home.home / "services.json").read_text()) == {}
    finally:
        if given is not None:
            os.environ["PREFECT_API_URL"] = given


@pytest.mark.server
def test_up_shows_both_interfaces_on_loopback_only(both: services.Services) -> None:
    assert len(both.started) == 2
    assert processes.answers(f"{both.prefect}/health")
    assert "<html" in get(both.prefect_ui).lower()
    assert "mlflow" in get(both.mlflow).lower()
    for server in both.started:
        process = psutil.Process(server.process.pid)
        open_ports = [port for each in [process, *process.children(recursive=True)] for port in each.net_connections()]
        assert {port.laddr.ip for port in open_ports} == {"127.0.0.1"}


@pytest.mark.server
def test_second_up_and_a_run_find_the_first(
    both: services.Services, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with services.up(home) as second:
        assert second.started == ()
        assert (second.prefect, second.mlflow) == (both.prefect, both.mlflow)
    with prefect_server.prefect_server(home) as url:
        assert (url, mlflow_server.existing_server(home)) == (both.prefect, both.mlflow)
    assert processes.answers(f"{both.prefect}/health")
    assert processes.answers(f"{both.mlflow}/health")


@pytest.mark.server
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")  # MLflow's own
def test_interface_shows_what_was_written_to_the_file(both: services.Services, home: Settings, tmp_path: Path) -> None:
    tracker = open_tracker(home.tracking_uri)
    tracker.prepare("portraits")
    run = tracker.start_run("portraits", "hair")
    (tmp_path / "sheet.txt").write_text("a sheet")
    tracker.log_artifact(run, tmp_path / "sheet.txt", "sfam")
    assert get(f"{both.mlflow}/get-artifact?path=sfam/sheet.txt&run_uuid={run}") == "a sheet"
    found = json.loads(get(f"{both.mlflow}/api/2.0/mlflow/runs/get?run_id={run}"))
    assert found["run"]["info"]["run_name"] == "hair"


@pytest.mark.server
def test_model_is_registered_and_fetched_through_a_server(
    both: services.Services, home: Settings, tmp_path: Path
) -> None:
    remote = load_settings(home=tmp_path / "other", mlflow_uri=both.mlflow)
    tracker = open_tracker(remote.tracking_uri)
    tracker.prepare("through a server")
    run = tracker.start_run("through a server", "flow", params={"a": 1})
    tracker.log_metrics(run, {"loss": 0.5}, 0)
    tracker.end_run(run, "FINISHED")
    (tmp_path / "model.py").write_text(
        "import pandas as pd\nfrom mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n"
        "class Model(PythonModel):\n    def predict(self, context, model_input: pd.DataFrame, params=None):\n"
        "        return []\nset_model(Model())\n"
    )
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "tree.json").write_text("{}")
    address = tracker.register_model(run, "served", tmp_path / "model.py", {"tree": str(tmp_path / "tree")}, 0.5)
    assert tracker.missing == 0
    assert (fetch_model(address, remote) / "tree.json").read_text() == "{}"
    assert (fetch_model("models:/served@champion", home) / "tree.json").read_text() == "{}"


FLOW = """
import sys
from pathlib import Path
from infra.prefect_server import prefect_server
from infra.settings import load_settings

def imports():
    import prefect
    assert prefect.settings.PREFECT_API_URL.value(), "known before it is imported"

with prefect_server(load_settings(home=sys.argv[1], device="cpu"), imports) as url:
    from prefect import flow, task

    @task
    def wait_for(number: int, before: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    @flow
    def numbers() -> list:
        first = [wait_for.submit(number, 0) for number in range(20)]
        return [*first, wait_for.submit(20, first[3])]

    numbers(return_state=True)
    print(url)
"""


@pytest.mark.server
def test_temporary_server_has_recorded_all_ends_before_it_is_stopped(settings: Settings, tmp_path: Path) -> None:
    script = tmp_path / "flow.py"
    script.write_text(FLOW)
    done = subprocess.run(
        [sys.executable, str(script), str(settings.home)], capture_output=True, text=True, timeout=200, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    assert not processes.answers(done.stdout.split()[-1] + "/health")
    assert "EventsWorker" not in done.stderr
    assert "Error logging to API" not in done.stderr
    with closing(sqlite3.connect(settings.home / "prefect" / "prefect.db")) as database:
        counts = dict(database.execute("select state_type, count(*) from task_run group by state_type").fetchall())
    assert counts == {"COMPLETED": 19, "FAILED": 1, "PENDING": 1}
