"""The deployments for real: a server, `prefect deploy --all`, workers, and runs by the REST API and by a schedule."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra import processes
from infra.settings import Settings
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import open_store

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1800)]

HOUSE = Path(__file__).parent.parent.parent
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PORTRAITS = {"kind": "portraits", "spec": {"train": 40, "validation": 16}}
OPTIONS = {"trunk": "small", "embedding": 16, "size": 32, "batch": 16, "epochs": 2}


class Refused(Exception):
    """The API's own words."""


def wait(what: Callable[[], Any], seconds: float = 900) -> Any:
    """The first answer that is not None.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + seconds
    while (answer := what()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.5)
    return answer


def api(method: str, path: str, body: object = None) -> Any:
    """One call of Prefect's REST API.

    Raises:
        Refused: it answered with an error.
    """
    address = f"{os.environ['PREFECT_API_URL']}{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"content-type": "application/json"}, method=method)

    def answer() -> Any:
        try:
            with processes.opener(address).open(request, timeout=60) as answered:
                return json.load(answered)
        except urllib.error.HTTPError as error:
            if error.code == 503:  # its SQLite file is being written: Prefect's own client asks again, too
                return None
            raise Refused(f"{error.code} {json.load(error)['detail']}") from error

    return wait(answer, 60)


def start(deployment: str, parameters: dict[str, Any]) -> str:
    """A run of a deployment such as `prepare-data/prepare`; its id."""
    found = api("GET", f"/deployments/name/{deployment}")["id"]
    run: str = api("POST", f"/deployments/{found}/create_flow_run", {"parameters": {"parameters": parameters}})["id"]
    return run


def ended(run_id: str) -> dict[str, Any]:
    """The run, once it has ended."""

    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = api("GET", f"/flow_runs/{run_id}")
        return run if run["state_type"] in ENDED else None

    run: dict[str, Any] = wait(look)
    return run


@pytest.fixture(scope="module")
def command(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Prefect's command line in the project's folder; its output."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=HOUSE,
            env={**os.environ, "PREFECT_API_URL": prefect_server, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def deployed(command: Callable[..., str]) -> None:
    """As docs/deployments.md says."""
    command("work-pool", "create", "heml", "--type", "process")
    command("work-queue", "create", "cuda", "--pool", "heml", "--limit", "1")
    assert command("deploy", "--all").count("successfully created") == 6


@pytest.fixture
def worker(server_settings: Settings, prefect_server: str, tmp_path: Path) -> Callable[..., Any]:
    """Starts a worker for some queues, in a folder of its own, and stops it at the end."""

    @contextmanager
    def serve(*queues: str) -> Iterator[None]:
        named = [option for queue in queues for option in ("--work-queue", queue)]
        environment = {
            **os.environ,
            "PREFECT_API_URL": prefect_server,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "HEML_CHECKOUT": str(HOUSE),
            "HEML_HOME": str(server_settings.home),
            "HEML_DEVICE": "cpu",
            "HEML_ENGINE": "threads",
        }
        folder = tmp_path / "-".join(("worker", *queues))
        folder.mkdir()
        started = processes.start(
            "Prefect worker",
            [
                "env",
                "--chdir",
                str(folder),
                sys.executable,
                "-m",
                "prefect",
                "worker",
                "start",
                "--pool",
                "heml",
                *named,
            ],
            environment=environment,
            url=prefect_server,
            health=f"{prefect_server}/health",
            log=folder / "worker.log",
        )
        try:
            yield
        except BaseException as error:
            error.add_note(processes.log_tail(started.log, lines=60))
            raise
        finally:
            processes.stop(started)

    return serve


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs' portraits go."""
    return tmp_path_factory.mktemp("deployed") / "portraits"


def test_prepare_then_train_each_through_its_own_queue(deployed: None, worker: Any, store: Path) -> None:
    out = store.parent / "run"
    training = start("train-tree/train", {"store": str(store), "tree": "demo", "options": OPTIONS, "out": str(out)})
    preparing = [start("prepare-data/prepare", {"photos": PORTRAITS, "out": str(store)}) for _ in range(2)]
    with worker("default"):
        first, second = sorted((ended(run) for run in preparing), key=lambda run: str(run["start_time"]))
        # Started before them, and nobody serves its queue.
        assert api("GET", f"/flow_runs/{training}")["state_type"] == "SCHEDULED"
    assert [(run["state_type"], run["work_queue_name"]) for run in (first, second)] == [("COMPLETED", "default")] * 2
    # The deployment's own limit: one waits for the other.
    assert datetime.fromisoformat(first["end_time"]) <= datetime.fromisoformat(second["start_time"])
    assert open_store(store).rows("train") == 40
    with worker("cuda"):
        trained = ended(training)
    assert (trained["state_type"], trained["work_queue_name"]) == ("COMPLETED", "cuda")
    assert set(trained["tags"]) == {"heml", "cuda"}
    assert len(open_trained_tree(out / "model").tree.nodes) == 15


def test_a_schedule_starts_a_run(deployed: None, worker: Any, store: Path) -> None:
    deployment = api("GET", "/deployments/name/prepare-data/prepare")["id"]
    out = store.parent / "scheduled"
    at = datetime.now(UTC) + timedelta(seconds=90)  # Prefect's scheduler looks at all deployments once a minute
    schedule = {
        "schedule": {"interval": 86400, "anchor_date": at.isoformat(), "timezone": "UTC"},
        "active": True,
        "parameters": {"parameters": {"photos": PORTRAITS, "out": str(out)}},
    }
    api("POST", f"/deployments/{deployment}/schedules", [schedule])

    def due() -> str | None:
        runs = api(
            "POST",
            "/flow_runs/filter",
            {
                "flow_runs": {
                    "deployment_id": {"any_": [deployment]},
                    "expected_start_time": {"before_": at.isoformat()},
                }
            },
        )
        return next((run["id"] for run in runs if run["auto_scheduled"]), None)

    with worker():
        run = ended(wait(due, 240))
    assert run["auto_scheduled"] and run["state_type"] == "COMPLETED"
    assert datetime.fromisoformat(run["start_time"]) >= at
    assert open_store(out).rows("validation") == 16


def test_wrong_parameters_are_said_where_the_user_looks(deployed: None, worker: Any, store: Path) -> None:
    with pytest.raises(Refused, match=r"409 .*'parameters\.options\.epochs'.*'many' is not of type 'integer'"):
        start("train-tree/train", {"store": str(store), "options": {"epochs": "many"}})
    with pytest.raises(Refused, match=r"409 .*'parameters'.*'store' is a required property"):
        start("train-tree/train", {})
    gone = start("train-tree/train", {"store": str(store.parent / "gone")})
    few = start("train-tree/train", {"store": str(store), "options": {"epochs": 0}})
    with worker():
        for run, said in ((gone, "gone is not a segment store"), (few, "epochs needs to be at least 1; got 0")):
            state = ended(run)["state"]
            assert state["type"] == "FAILED"
            assert said in state["message"]


def test_the_nightly_schedule_is_off(deployed: None) -> None:
    (nightly,) = api("GET", "/deployments/name/train-tree/train")["schedules"]
    assert (nightly["slug"], nightly["active"], nightly["schedule"]["cron"]) == ("nightly", False, "0 2 * * *")
