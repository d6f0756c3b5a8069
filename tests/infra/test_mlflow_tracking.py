"""What arrives in MLflow, read back through MLflow's own client and out of its database."""

import json
import logging
import math
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from threading import Thread

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from infra import mlflow_backlog, processes
from infra.mlflow_tracking import MlflowTracker
from infra.tracking import open_tracker
from tasks.errors import InputError

# MLflow 3.17 on SQLAlchemy 2.1, when it first opens a database.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def uri(home: Path) -> str:
    """A prepared store; making the tables takes seconds."""
    uri = f"sqlite:///{home / 'mlflow.db'}"
    MlflowTracker(uri).prepare("portraits")
    return uri


@pytest.fixture
def tracker(uri: str) -> MlflowTracker:
    return MlflowTracker(uri)


@pytest.fixture
def client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_prepare_puts_artifacts_beside_the_database(tracker: MlflowTracker, client: MlflowClient, home: Path) -> None:
    location = client.get_experiment_by_name("portraits").artifact_location
    assert location == (home / "mlflow-artifacts" / "portraits").as_uri()
    tracker.prepare("portraits")
    tracker.prepare("a/b c")
    location = client.get_experiment_by_name("a/b c").artifact_location
    assert location == (home / "mlflow-artifacts" / "a-b-c").as_uri()


def test_run_has_parent_params_tags_and_status(tracker: MlflowTracker, client: MlflowClient) -> None:
    parent = tracker.start_run("portraits", "the flow")
    params = {f"p{number:03d}": number for number in range(150)} | {"long": "x" * 9000, "none": None, "many": [1, 2]}
    child = tracker.start_run("portraits", "hair", parent_run_id=parent, params=params, tags={"node": "hair"})
    run = client.get_run(child)
    assert (run.info.run_name, run.info.status) == ("hair", "RUNNING")
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.tags["node"] == "hair"
    assert len(run.data.params) == 153
    assert run.data.params["long"] == "x" * 6000
    assert (run.data.params["p007"], run.data.params["none"], run.data.params["many"]) == ("7", "None", "[1, 2]")
    tracker.set_tags(child, {"status": "trained"})
    tracker.end_run(child, "FINISHED")
    tracker.end_run(parent, "FAILED")
    assert client.get_run(child).data.tags["status"] == "trained"
    assert client.get_run(child).info.status == "FINISHED"
    assert client.get_run(parent).info.status == "FAILED"
    assert tracker.missing == 0


def test_metrics_have_steps_and_nan_is_kept(tracker: MlflowTracker, client: MlflowClient) -> None:
    run = tracker.start_run("portraits", "hair")
    for step, loss in enumerate([0.5, math.nan, 0.25, math.inf]):
        tracker.log_metrics(run, {"loss": loss, "precision_at_1": step / 4}, step)
    losses = client.get_metric_history(run, "loss")
    assert [metric.step for metric in losses] == [0, 1, 2, 3]
    assert (losses[0].value, losses[2].value) == (0.5, 0.25)
    assert math.isnan(losses[1].value)
    assert losses[3].value > 1e300
    assert [metric.value for metric in client.get_metric_history(run, "precision_at_1")] == [0, 0.25, 0.5, 0.75]
    assert tracker.missing == 0


def test_metrics_that_may_be_there_come_once(tracker: MlflowTracker, client: MlflowClient) -> None:
    run = tracker.start_run("portraits", "hair")
    tracker.log_metrics(run, {"loss": 3.0, "speed": 1.0}, 0)
    for step in range(3):
        tracker.log_metrics(run, {"loss": 3.0, "speed": 2.0}, step, unless_there=True)
    found = client.get_metric_history(tracker.run_id(run), "speed")
    assert [(point.step, point.value) for point in found] == [(0, 1.0), (1, 2.0), (2, 2.0)]


def test_files_land_under_home(tracker: MlflowTracker, client: MlflowClient, home: Path, tmp_path: Path) -> None:
    run = tracker.start_run("portraits", "hair")
    (tmp_path / "sheet.png").write_bytes(b"png")
    tracker.log_artifact(run, tmp_path / "sheet.png", "sfam")
    tracker.log_artifact(run, str(tmp_path / "sheet.png"))
    tracker.log_dict(run, {"a": 1}, "nodes.json")
    tracker.log_table(run, {"row": ["a", "b"], "P@1": ["96.0", "-"]}, "table-1.json")
    files = {file.path for file in client.list_artifacts(run)}
    assert files == {"sfam", "sheet.png", "nodes.json", "table-1.json"}
    table = json.loads(Path(client.download_artifacts(run, "table-1.json")).read_text())
    assert table == {"columns": ["row", "P@1"], "data": [["a", "96.0"], ["b", "-"]]}
    assert json.loads(client.get_run(run).data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "table-1.json", "type": "table"}
    ]
    kept = home / "mlflow-artifacts" / "portraits" / run / "artifacts" / "sfam" / "sheet.png"
    assert kept.read_bytes() == b"png"


def test_data_set_is_an_input(tracker: MlflowTracker, client: MlflowClient) -> None:
    run = tracker.start_run("portraits", "hair")
    tracker.log_dataset_input(run, "portraits", "0123456789" * 5, "/stores/portraits")
    [given] = client.get_run(run).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("portraits", ("0123456789" * 5)[:36])
    assert given.dataset.source == '{"uri": "/stores/portraits"}'
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_threads_may_share_a_tracker(tracker: MlflowTracker, client: MlflowClient) -> None:
    runs = [tracker.start_run("portraits", f"node-{number}") for number in range(3)]

    def log(run: str) -> None:
        for step in range(5):
            tracker.log_metrics(run, {"loss": step}, step)

    threads = [Thread(target=log, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(client.get_metric_history(run, "loss")) for run in runs] == [5, 5, 5]
    assert tracker.missing == 0


WRITER = """
import sys
from infra.tracking import open_tracker
tracker = open_tracker(sys.argv[1])
sys.stdin.readline()
run = tracker.start_run("portraits", f"process {sys.argv[2]}", params={"a": 1})
for step in range(25):
    tracker.log_metrics(run, {"loss": step, "precision_at_1": 0.5}, step)
tracker.end_run(run, "FINISHED")
print(run, tracker.missing)
"""


def test_four_processes_write_to_one_file(uri: str, client: MlflowClient) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, uri, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    results = [writer.communicate("go\n", timeout=200) for writer in writers]
    assert [error for _, error in results] == [""] * 4
    for out, _ in results:
        run, missing = out.split()
        assert missing == "0"
        assert len(client.get_metric_history(run, "loss")) == 25
        assert client.get_run(run).info.status == "FINISHED"


def test_lock_of_another_process_is_waited_for(tracker: MlflowTracker, client: MlflowClient, home: Path) -> None:
    run = tracker.start_run("portraits", "hair")
    calls = []

    def locked_twice() -> None:
        calls.append(1)
        if len(calls) < 3:
            with sqlite3.connect(home / "mlflow.db", timeout=0) as holder:
                holder.execute("BEGIN EXCLUSIVE")
                second = sqlite3.connect(home / "mlflow.db", timeout=0)
                try:
                    second.execute("BEGIN EXCLUSIVE")
                except sqlite3.OperationalError as error:
                    raise MlflowException(str(error)) from error
                finally:
                    second.close()
        client.set_tag(run, "reached", "yes")

    tracker._backlog.add(locked_twice, "a tag")
    assert len(calls) == 3
    assert tracker.missing == 0
    assert client.get_run(run).data.tags["reached"] == "yes"


def test_what_cannot_be_tracked_is_counted_and_said_once(
    tracker: MlflowTracker, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    run = tracker.start_run("portraits", "hair")
    with caplog.at_level(logging.WARNING):
        tracker.log_artifact(run, tmp_path / "missing.png")
        tracker.log_metrics("no such run", {"loss": 1}, 0)
        assert tracker.run_id(tracker.start_run("never prepared", "x")) == ""
    assert tracker.missing == 3
    [record] = caplog.records
    assert "the training goes on" in record.getMessage()
    assert "missing.png" in record.getMessage()


def test_run_that_could_not_be_started_takes_everything(tracker: MlflowTracker, tmp_path: Path) -> None:
    tracker.log_metrics("", {"loss": 1}, 0)
    tracker.log_artifact("", tmp_path / "missing.png")
    tracker.end_run("", "FINISHED")
    assert tracker.missing == 0


def test_store_that_is_gone_does_not_slow_the_training_down_and_is_caught_up(
    tracker: MlflowTracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracker.start_run("portraits", "hair")
    tried = []

    def gone(*_: object, **__: object) -> None:
        tried.append(1)
        time.sleep(0.02)
        raise mlflow_backlog.requests.ConnectionError("refused")

    monkeypatch.setattr(mlflow_backlog, "SLOW", 0.01)
    with monkeypatch.context() as outage:
        outage.setattr(tracker._client, "log_batch", gone)
        outage.setattr(tracker._client, "create_run", gone)
        for step in range(5):
            tracker.log_metrics(run, {"loss": step}, step)
        assert (len(tried), tracker.missing) == (1, 5)
        later = tracker.start_run("portraits", "hat", params={"a": 1})
        tracker.log_metrics(later, {"loss": 7}, 0)
        tracker.end_run(later, "FINISHED")  # the end of a run is tried at once
        assert (len(tried), tracker.missing, tracker.run_id(later)) == (2, 9, "")
    tracker.end_run(run, "FINISHED")
    assert tracker.missing == 0
    assert [metric.value for metric in client.get_metric_history(run, "loss")] == [0, 1, 2, 3, 4]
    opened = client.get_run(tracker.run_id(later))
    assert (opened.info.status, opened.data.params, opened.data.metrics) == ("FINISHED", {"a": "1"}, {"loss": 7})
    assert opened.info.end_time <= client.get_run(run).info.end_time


def test_what_waits_is_delivered_also_where_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_backlog, "AGAIN", 0.01)
    backlog, down, arrived = mlflow_backlog.Backlog("http://somewhere"), [True], threading.Event()

    def call() -> None:
        if down:
            raise mlflow_backlog.requests.ConnectionError("refused")
        arrived.set()

    backlog.add(call, "a figure")
    assert backlog.missing == 1
    down.clear()
    assert arrived.wait(30)
    assert backlog.settle(30)
    assert backlog.missing == 0


def test_settling_ends_when_it_does_no_good() -> None:
    backlog, down = mlflow_backlog.Backlog("http://somewhere"), [True]
    assert backlog.settle(0.0)

    def call() -> None:
        if down:
            raise mlflow_backlog.requests.ConnectionError("refused")

    backlog.add(call, "a figure")
    assert not backlog.settle(0.01)
    down.clear()
    assert backlog.settle(30)


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (answered(503), True),
        (answered(413), False),
        (requests.HTTPError("no answer"), True),
        (requests.Timeout(), True),
        (MlflowException("API request to http://a/b failed with error code 413 != 200"), False),
        (MlflowException("API request to http://a/b failed with error code 502 != 200"), True),
        (MlflowException("API request to http://a/b failed with exception refused"), True),
        (MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_what_is_refused_does_not_hold_up_the_rest(error: Exception, lost: bool) -> None:
    assert mlflow_backlog.is_outage(error) is lost
    backlog, made = mlflow_backlog.Backlog("http://somewhere"), []

    def refused() -> None:
        raise error

    backlog.add(refused, "a file")
    backlog.add(lambda: made.append(1), "a figure")
    assert made == ([] if lost else [1])


def test_server_that_does_not_answer_is_wrong_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with processes.listen(0) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InputError, match=rf"MLflow does not answer at http://127.0.0.1:{port} \(HEML_MLFLOW_URI\)"):
        MlflowTracker(f"http://127.0.0.1:{port}").prepare("portraits")


def test_deleted_experiment_is_wrong_input(tracker: MlflowTracker, client: MlflowClient) -> None:
    tracker.prepare("old")
    number = client.get_experiment_by_name("old").experiment_id
    client.delete_experiment(number)
    with pytest.raises(InputError, match=rf"mlflow experiments restore --experiment-id {number}"):
        tracker.prepare("old")


def test_two_flows_may_prepare_a_fresh_store_at_once_and_say_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    program = (
        "import sys\nfrom infra.tracking import open_tracker\n"
        "tracker = open_tracker(sys.argv[1])\ntracker.prepare(sys.argv[2])\n"
        "tracker.end_run(tracker.start_run(sys.argv[2], 'a run'), 'FINISHED')\nassert not tracker.missing"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, uri, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name in ("one", "two")
    ]
    assert [process.communicate(timeout=200)[0] for process in running] == ["", ""]
    assert [process.returncode for process in running] == [0, 0]
    client = MlflowClient(tracking_uri=uri)
    assert {found.name for found in client.search_experiments()} >= {"one", "two"}


def test_one_tracker_an_address(uri: str) -> None:
    assert open_tracker(uri) is open_tracker(uri)
    assert isinstance(open_tracker(uri), MlflowTracker)
