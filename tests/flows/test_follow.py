from concurrent.futures import CancelledError
from threading import Event
from types import SimpleNamespace

import httpx
import pytest
from prefect import flow, get_run_logger, task
from prefect.task_runners import ThreadPoolTaskRunner

from flows import console
from flows import follow as module
from flows.follow import follow
from tasks.errors import InputError


@pytest.mark.server
@pytest.mark.parametrize("terminal", [True, False])
def test_a_task_s_lines_are_shown_while_it_works(
    terminal: bool, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    seen = Event()

    def show(line: str) -> None:
        shown.append(line)
        seen.set()

    @task
    def fit() -> int:
        get_run_logger().info("epoch 1 of 2")
        if terminal:
            assert seen.wait(60)
        return 7

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def prepare() -> int:
        fitted: int = follow(fit.submit())
        return fitted

    monkeypatch.setattr(module, "show", show)
    monkeypatch.setattr(module, "EVERY", 0.2)
    token = console.at_terminal.set(terminal)
    try:
        assert prepare() == 7
    finally:
        console.at_terminal.reset(token)
    assert shown == (["epoch 1 of 2"] if terminal else [])


@pytest.mark.server
def test_what_the_task_raises_is_raised(prefect_server: str) -> None:
    @task
    def fit() -> None:
        raise InputError("no photo has a mask")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def prepare() -> None:
        follow(fit.submit())

    token = console.at_terminal.set(True)
    try:
        with pytest.raises(InputError, match="no photo has a mask"):
            prepare()
    finally:
        console.at_terminal.reset(token)


class Ended:
    """A future that is not done at first; then it ends as it is told."""

    task_run_id = None

    def __init__(self, *ends: object, final: bool | None = None) -> None:
        self.ends, self.final = list(ends), final

    @property
    def state(self) -> SimpleNamespace:
        if self.final is None:
            raise httpx.ConnectError("the server is away")
        return SimpleNamespace(is_final=lambda: self.final)

    def result(self, timeout: float | None = None) -> object:
        end = self.ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end


def test_a_server_that_is_away_for_a_moment_and_a_lost_cluster() -> None:
    token = console.at_terminal.set(True)
    try:
        assert follow(Ended(TimeoutError(), TimeoutError(), 7)) == 7  # type: ignore[arg-type]
        with pytest.raises(CancelledError):
            follow(Ended(TimeoutError(), CancelledError()))  # type: ignore[arg-type]
        # It ends between the wait and the look at its state.
        assert follow(Ended(TimeoutError(), 7, final=True)) == 7  # type: ignore[arg-type]
    finally:
        console.at_terminal.reset(token)
