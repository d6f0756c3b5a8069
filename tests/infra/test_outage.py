"""A run's body is done again after an outage, and only then."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import requests
from distributed import KilledWorker
from distributed.comm.core import CommClosedError
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST
from prefect.exceptions import PrefectHTTPStatusError

from infra import outage
from infra.settings import Settings, load_settings
from tasks.errors import InputError

KILLER = KilledWorker("task", SimpleNamespace(address="tcp://127.0.0.1:1"), 5)


def answered(code: int) -> PrefectHTTPStatusError:
    request = httpx.Request("GET", "http://127.0.0.1/api")
    return PrefectHTTPStatusError("no", request=request, response=httpx.Response(code, request=request))


def caused_by(cause: Exception) -> Exception:
    error = ValueError("outer")
    error.__cause__ = cause
    return error


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return load_settings(home=tmp_path, engine="threads", device="cpu")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (CancelledError(), True),
        (httpx.ConnectError("refused"), True),
        (answered(503), True),
        (answered(404), False),
        (RuntimeError("Failed to reach API at http://127.0.0.1"), True),
        (RuntimeError("shapes differ"), False),
        (InputError("no such store"), False),
        (caused_by(httpx.ReadError("reset")), True),
        (MlflowException("database is gone", error_code=INTERNAL_ERROR), True),
        (MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST), False),
        (RestException({"error_code": "INTERNAL_ERROR", "message": "no database"}), True),
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}), False),
        (requests.ConnectionError("refused"), True),
        (OSError("Timed out trying to connect to tcp://127.0.0.1:8786 after 10 s"), True),
        (OSError(28, "No space left on device"), False),
        (KILLER, False),
        (None, False),
    ],
)
def test_what_counts_as_an_outage(error: BaseException | None, lost: bool) -> None:
    assert outage.is_outage(error) is lost


def failing(times: int, error: Exception) -> tuple[Callable[[], int], list[int]]:
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work, calls


def test_work_is_done_again_until_it_succeeds(settings: Settings) -> None:
    said: list[str] = []
    work, _ = failing(3, httpx.ConnectError("refused"))
    assert outage.outlive_outages(work, settings, said.append) == 4
    assert len(said) == 3
    assert said[0].startswith("a part of the cluster was lost (ConnectError: refused)")


def test_a_task_that_kills_its_workers_is_done_once_more(settings: Settings) -> None:
    work, calls = failing(1, KILLER)
    assert outage.outlive_outages(work, settings, lambda line: None) == 2
    work, calls = failing(100, KILLER)
    with pytest.raises(KilledWorker):
        outage.outlive_outages(work, settings, lambda line: None)
    assert len(calls) == 2


def test_workers_that_do_not_answer_are_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([OSError("no route to host"), CommClosedError("closed"), InputError("no worker"), None])

    def check(_: Settings) -> None:
        if error := next(errors):
            raise error

    monkeypatch.setattr(outage, "check_engine", check)
    monkeypatch.setattr(outage.time, "sleep", lambda _: None)
    work, _ = failing(1, CancelledError())
    assert outage.outlive_outages(work, settings, lambda line: None) == 2
    assert next(errors, "all looked at") == "all looked at"


def test_other_errors_and_the_ninth_outage_are_raised(settings: Settings) -> None:
    work, calls = failing(100, InputError("no such store"))
    with pytest.raises(InputError, match="no such store"):
        outage.outlive_outages(work, settings, lambda line: None)
    assert len(calls) == 1
    work, calls = failing(100, httpx.ConnectError("refused"))
    with pytest.raises(httpx.ConnectError):
        outage.outlive_outages(work, settings, lambda line: None)
    assert len(calls) == outage.OUTAGES + 1


def test_what_does_not_come_back_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "PATIENCE", 0.0)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    work, calls = failing(1, httpx.ConnectError("refused"))
    with pytest.raises(InputError, match=r"no Prefect server answers at http://127\.0\.0\.1:9/api"):
        outage.outlive_outages(work, settings, lambda line: None)
    assert len(calls) == 1
