"""Trainings of a flow: each waits for those that it starts from, and for its share of a GPU.

One whose memory did not suffice beside others is submitted once more, with a whole GPU to itself.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from prefect.futures import PrefectFuture

from flows.console import say
from infra.runners import check_engine, training_resources, whole_gpu
from infra.schedule import chains
from infra.settings import Settings
from tasks.errors import OutOfMemory

Future = PrefectFuture[Any]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training to submit.

    Attributes:
        submit: submits its task run, given the futures of those that it starts from.
        children: names of these; they were planned before.
        share: memory that it needs, relative to a training that has a GPU to itself (`node_options.pixel_share`).
    """

    submit: Callable[[list[Any]], Future]
    children: tuple[str, ...] = ()
    share: float = 1.0


class Trainings:
    """Trainings that are under way from now on."""

    def __init__(self, planned: Mapping[str, Training], settings: Settings) -> None:
        """Submit all, those first that the longest chain of trainings waits for: workers take them in this order.

        Args:
            planned: name to training, children first.
            settings: of the run.
        """
        shares = {name: training.share for name, training in planned.items()}
        self._chain = chains(shares, {name: training.children for name, training in planned.items()})
        self._planned = {name: planned[name] for name in sorted(planned, key=lambda name: -self._chain[name])}
        self._settings = settings
        self._futures: dict[str, Future] = {}
        self._submit(self._planned, {})

    def wait(self, on_end: Callable[[str, Future], None] = lambda _name, _future: None) -> dict[str, Future]:
        """Wait for all, also after one failed: what can be trained is trained.

        Args:
            on_end: called with each in the order of submission, whatever came of it; again for what is submitted
                once more.

        Returns:
            The finished futures by name.

        Raises:
            OutOfMemory: also a whole GPU did not suffice, or it was asked for from the start.
            InputError: no worker offers a whole GPU.
            Exception: of the first that failed otherwise.
        """
        alone: dict[str, Settings] = {}
        failed = self._wait_for(self._planned, on_end)
        while starved := self._starved(failed, alone):
            for settings in starved.values():
                check_engine(settings, say)
            say(f"out of memory: {', '.join(starved)}; once more, with a whole GPU each")
            alone |= starved
            again: list[str] = []
            for name in failed:
                if name in starved or any(child in again for child in self._planned[name].children):
                    again.append(name)
            self._submit(again, alone)
            failed = [*(name for name in failed if name not in again), *self._wait_for(again, on_end)]
            failed.sort(key=list(self._planned).index)
        for name in failed:  # children come first: the first failure is a cause, not a consequence
            error = _out_of_memory(self._futures[name])
            if error and name in alone:
                raise OutOfMemory(f"{error.args[0]}, also with a whole GPU")
            self._futures[name].result(raise_on_failure=True)
        return dict(self._futures)

    def _starved(self, failed: Collection[str], alone: Mapping[str, Settings]) -> dict[str, Settings]:
        """Those that ran out of memory with a part of a GPU, and the settings that ask for a whole one."""
        found = {}
        for name in failed:
            if name not in alone and _out_of_memory(self._futures[name]):
                settings = whole_gpu(self._settings, self._planned[name].share)
                if settings is not None:
                    found[name] = settings
        return found

    def _submit(self, names: Collection[str], alone: Mapping[str, Settings]) -> None:
        """Those with the names, in order, some with settings of their own; what is finished stays."""
        for name in names:
            training = self._planned[name]
            with training_resources(alone.get(name, self._settings), training.share, self._chain[name]):
                self._futures[name] = training.submit([self._futures[child] for child in training.children])

    def _wait_for(self, names: Collection[str], on_end: Callable[[str, Future], None]) -> list[str]:
        """Wait for those with the names; returns the ones that are not completed."""
        failed = []
        for name in names:
            self._futures[name].wait()
            on_end(name, self._futures[name])
            if not self._futures[name].state.is_completed():
                failed.append(name)
        return failed


def _out_of_memory(future: Future) -> OutOfMemory | None:
    """The error of a training that ran out of memory; None for any other outcome."""
    if not future.state.is_failed():
        return None
    error = future.result(raise_on_failure=False)
    return error if isinstance(error, OutOfMemory) else None
