"""What is asked of workers, and how an answer that will not do is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import processes
from infra.worker_check import are_offered, check_workers, listed, offered_resources
from tasks.errors import InputError


class Workers:
    """Stands in for a client: its workers are functions that get the question."""

    def __init__(self, **answers: Callable[[Callable[..., Any], Any], Any]) -> None:
        self.answers = answers
        self.asked: list[Any] = []

    def run(self, question: Callable[..., Any], about: Any) -> dict[str, Any]:
        self.asked.append(about)
        return {name: answer(question, about) for name, answer in self.answers.items()}

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1  # else it tells of five
        return {"workers": {name: {"resources": {"CPU": 1.0}} for name in self.answers}}


def good(_question: object, _about: object) -> bool:
    return True


def elsewhere(question: object, about: Path) -> bool:
    """A worker of a machine that does not share our disk."""
    return question is processes.answers


def lonely(question: object, about: object) -> bool:
    """A worker that reaches no server."""
    return question is not processes.answers


def without_us(_question: object, _about: object) -> bool:
    raise ModuleNotFoundError("No module named 'infra'", name="infra")


def check(tmp_path: Path, **answers: Callable[..., Any]) -> Workers:
    workers = Workers(**answers)
    check_workers(workers, "tcp://host:8786", "http://server/api", tmp_path / "home")  # type: ignore[arg-type]
    return workers


def test_good_workers_are_asked_of_the_server_and_of_a_file_that_was_just_made(tmp_path: Path) -> None:
    def looks(question: Callable[..., Any], about: Any) -> bool:
        return True if question is processes.answers else bool(question(about))

    asked = check(tmp_path, one=looks, two=looks).asked
    assert asked[0] == "http://server/api/health"
    assert asked[1].parent == tmp_path / "home"
    assert list((tmp_path / "home").iterdir()) == []


def test_a_worker_that_will_not_do_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"worker two does not see the folder .*home \(HEML_HOME\): put it where all"):
        check(tmp_path, one=good, two=elsewhere)
    assert list((tmp_path / "home").iterdir()) == []
    with pytest.raises(InputError, match="worker two does not reach the Prefect server at http://server/api: set PREF"):
        check(tmp_path, one=good, two=lonely)
    with pytest.raises(InputError, match="workers of tcp://host:8786 lack the module infra: install this project"):
        check(tmp_path, one=without_us)


def test_what_is_needed_has_to_be_offered_by_one_worker() -> None:
    offers = [{"CUDA": 1.0}, {"CPU": 2.0}, {}]
    assert are_offered({}, [{}])
    assert not are_offered({}, [])
    assert are_offered({"CUDA": 0.25}, offers)
    assert are_offered({"CPU": 2}, offers)
    assert not are_offered({"CPU": 3}, offers)
    assert not are_offered({"CPU": 1, "CUDA": 1}, offers)


def test_all_workers_are_looked_at() -> None:
    assert offered_resources(Workers(one=good, two=good)) == [{"CPU": 1.0}] * 2  # type: ignore[arg-type]


def test_resources_are_written_as_dask_takes_them() -> None:
    assert listed({"CUDA": 1.0, "CPU": 0.5}) == "CPU=0.5,CUDA=1"
    assert listed({}) == "nothing"
