"""Trainings that wait for each other; what ran out of memory beside others is tried once more, with a whole GPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import pytest
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from flows import trainings as module
from flows.trainings import Future, Training, Trainings
from infra.settings import Settings, load_settings
from tasks.errors import InputError, OutOfMemory

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]


@task(task_run_name="{name}")
def work(name: str, children: list[str], error: Exception | None) -> str:
    if error:
        raise error
    return f"{name}({','.join(children)})"


class Scene:
    """A tree of four trainings, some of which fail at their first times; what was submitted, and told at its end."""

    CHILDREN: Mapping[str, tuple[str, ...]] = {"eyes": (), "hair": (), "face": ("eyes",), "root": ("face", "hair")}
    SHARES: Mapping[str, float] = {"eyes": 0.2, "hair": 0.4, "face": 0.3, "root": 1.0}

    def __init__(self, settings: Settings, errors: dict[str, list[Exception]]) -> None:
        self.settings, self.errors = settings, errors
        self.submitted: list[tuple[str, float | None]] = []
        self.told: list[tuple[str, str]] = []

    def run(self) -> dict[str, str]:
        @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
        def whole() -> dict[str, str]:
            planned = {name: self._training(name) for name in self.CHILDREN}
            futures = Trainings(planned, self.settings).wait(self._on_end)
            return {name: future.result() for name, future in futures.items()}

        return whole()

    def _training(self, name: str) -> Training:
        def submit(children: list[Any]) -> Future:
            self.submitted.append((name, dask.get_annotations().get("resources", {}).get("CUDA")))
            left = self.errors.get(name)
            return work.submit(name, children, left.pop(0) if left else None)

        return Training(submit=submit, children=self.CHILDREN[name], share=self.SHARES[name])

    def _on_end(self, name: str, future: Future) -> None:
        self.told.append((name, future.state.name))


@pytest.fixture
def on_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a cluster with GPUs; whether one is offered whole is not asked."""
    monkeypatch.setattr(module, "check_engine", lambda settings, say: None)
    return load_settings(home=tmp_path, engine="address", device="cuda")


FIRST = [("eyes", 0.25), ("hair", 0.5), ("face", 0.5), ("root", 1.0)]
ALL = {"eyes": "eyes()", "hair": "hair()", "face": "face(eyes())", "root": "root(face(eyes()),hair())"}


def test_each_asks_for_its_share_and_takes_its_children_s_results(on_gpus: Settings) -> None:
    scene = Scene(on_gpus, {})
    assert scene.run() == ALL
    assert scene.submitted == FIRST
    assert scene.told == [(name, "Completed") for name in scene.CHILDREN]


def test_those_that_the_longest_chain_waits_for_go_first(on_gpus: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(on_gpus, {})
    monkeypatch.setattr(scene, "SHARES", {"eyes": 0.2, "hair": 1.0, "face": 0.6, "root": 1.0})
    assert scene.run() == ALL
    # Chains: hair 2.0, eyes 1.8, face 1.6, root 1.0.
    assert [name for name, _ in scene.submitted] == ["hair", "eyes", "face", "root"]
    assert [name for name, _ in scene.told] == ["hair", "eyes", "face", "root"]


def test_what_ran_out_of_memory_and_what_waits_for_it_is_submitted_once_more(on_gpus: Settings) -> None:
    scene = Scene(on_gpus, {"eyes": [OutOfMemory("node 'eyes' ran out of memory")]})
    assert scene.run() == ALL
    assert scene.submitted == [*FIRST, ("eyes", 1.0), ("face", 0.5), ("root", 1.0)]  # hair is done
    assert scene.told[0] == ("eyes", "Failed")
    assert scene.told[1] == ("hair", "Completed")
    assert {state for _, state in scene.told[2:4]} == {"NotReady"}
    assert scene.told[4:] == [("eyes", "Completed"), ("face", "Completed"), ("root", "Completed")]


def test_several_are_told_apart(on_gpus: Settings) -> None:
    scene = Scene(on_gpus, {"face": [OutOfMemory("f")], "hair": [OutOfMemory("h")]})
    assert scene.run() == ALL
    assert scene.submitted == [*FIRST, ("hair", 1.0), ("face", 1.0), ("root", 1.0)]


def test_what_waited_may_run_out_of_memory_too(on_gpus: Settings) -> None:
    face = [OutOfMemory("face"), OutOfMemory("face")]  # the first is not raised: it waits for the eyes
    scene = Scene(on_gpus, {"eyes": [OutOfMemory("eyes")], "face": face})
    assert scene.run() == ALL
    again = [("eyes", 1.0), ("face", 0.5), ("root", 1.0)]
    assert scene.submitted == [*FIRST, *again, ("face", 1.0), ("root", 1.0)]


def test_a_whole_gpu_that_does_not_suffice_is_said(on_gpus: Settings) -> None:
    scene = Scene(on_gpus, {"eyes": [OutOfMemory("node 'eyes' ran out of memory")] * 2})
    with pytest.raises(
        OutOfMemory,
        match=r"^node 'eyes' ran out of memory, also with a whole GPU: a smaller --batch or --size would do, or a "
        r"device with more memory$",
    ):
        scene.run()
    assert len(scene.submitted) == 4 + 3


def test_what_had_a_whole_gpu_fails_at_once_and_the_others_are_trained(on_gpus: Settings) -> None:
    scene = Scene(on_gpus, {"root": [OutOfMemory("node 'root' ran out of memory")]})
    with pytest.raises(OutOfMemory, match=r"^node 'root' ran out of memory: a smaller --batch"):
        scene.run()
    assert scene.submitted == FIRST
    assert [state for _, state in scene.told] == ["Completed"] * 3 + ["Failed"]


def test_without_a_gpu_it_fails_at_once(tmp_path: Path) -> None:
    scene = Scene(load_settings(home=tmp_path, device="cpu"), {"eyes": [OutOfMemory("node 'eyes' ran out of memory")]})
    with pytest.raises(OutOfMemory, match=r"^node 'eyes' ran out of memory: a smaller --batch"):
        scene.run()
    assert scene.submitted == [(name, None) for name in scene.CHILDREN]


def test_another_failure_is_not_repeated_and_the_first_cause_is_raised(on_gpus: Settings) -> None:
    scene = Scene(on_gpus, {"hair": [InputError("hair is wrong")], "eyes": [OutOfMemory("e")]})
    with pytest.raises(InputError, match="hair is wrong"):
        scene.run()
    # The root waits for what ran out of memory too, so it is submitted again, and waits for hair in vain.
    assert scene.submitted == [*FIRST, ("eyes", 1.0), ("face", 0.5), ("root", 1.0)]


def test_a_whole_gpu_that_nobody_offers_is_refused(on_gpus: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    def refuse(settings: Settings, say: object) -> None:
        asked.append(settings)
        raise InputError("training asks for CUDA=1, which no worker offers")

    monkeypatch.setattr(module, "check_engine", refuse)
    with pytest.raises(InputError, match="which no worker offers"):
        Scene(on_gpus, {"eyes": [OutOfMemory("e")]}).run()
    assert [settings.task_resources for settings in asked] == [{"CUDA": 1.0}]
