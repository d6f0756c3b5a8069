"""What a training asks Dask for: its share of a GPU, what was set by hand, or a whole GPU after memory ran out."""

from pathlib import Path

import dask
import pytest
import torch

from infra import runners
from infra.runners import task_runner, training_needs, training_resources, whole_gpu
from infra.settings import Settings, load_settings


def settings(tmp_path: Path, **given: object) -> Settings:
    return load_settings(**{"home": tmp_path, "engine": "address", "device": "cuda", **given})


@pytest.mark.parametrize(
    ("share", "asked"),
    # The full size, three quarters, one half and one quarter of its pixels, what lies between, and next to nothing.
    [(1.0, 1.0), (0.75, 0.75), (0.5, 0.5), (0.25, 0.25), (0.76, 1.0), (4 / 9, 0.5), (0.26, 0.5), (1 / 9, 0.25)],
)
def test_a_small_training_asks_for_its_share_of_a_gpu_in_quarters(tmp_path: Path, share: float, asked: float) -> None:
    given = settings(tmp_path)
    assert training_needs(given, share) == {"CUDA": asked}
    with training_resources(given, share):
        assert dask.get_annotations() == {"resources": {"CUDA": asked}}
    assert dask.get_annotations() == {}


def test_without_a_share_a_whole_gpu_is_asked_for(tmp_path: Path) -> None:
    assert training_needs(settings(tmp_path)) == {"CUDA": 1.0}


@pytest.mark.parametrize("resources", [{"CUDA": 1.0}, {"CUDA": 0.5, "MEMORY": 8.0}, {"TPU": 2.0}])
def test_resources_set_by_hand_are_what_every_training_asks_for(tmp_path: Path, resources: dict[str, float]) -> None:
    for device in ("cpu", "cuda"):
        for share in (1.0, 0.25):
            assert training_needs(settings(tmp_path, device=device, resources=resources), share) == resources


def test_on_a_cpu_nothing_is_asked_for(tmp_path: Path) -> None:
    given = settings(tmp_path, device="cpu")
    assert training_needs(given, 0.25) == {}
    with training_resources(given, 0.25):
        assert dask.get_annotations() == {}


@pytest.mark.parametrize(
    ("given", "share", "asked"),
    [
        ({}, 0.25, {"CUDA": 1.0}),
        ({}, 0.7, {"CUDA": 1.0}),
        ({"resources": {"CUDA": 0.5, "MEMORY": 8.0}}, 1.0, {"CUDA": 1.0, "MEMORY": 8.0}),
    ],
)
def test_what_asked_for_a_part_of_a_gpu_can_ask_for_all_of_it(
    tmp_path: Path, given: dict[str, object], share: float, asked: dict[str, float]
) -> None:
    alone = whole_gpu(settings(tmp_path, **given), share)
    assert alone is not None
    assert training_needs(alone, share) == asked
    assert alone == settings(tmp_path, **given).model_copy(update={"resources": asked})


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({}, 1.0),
        ({}, 0.8),
        ({"resources": {"CUDA": 1}}, 0.25),
        ({"resources": {"CUDA": 2}}, 0.25),
        ({"resources": {"TPU": 0.5}}, 0.25),
        ({"device": "cpu"}, 0.25),
        ({"engine": "threads", "device": "cpu", "resources": {"CUDA": 0.5}}, 0.25),  # resources are Dask's
    ],
)
def test_there_is_no_more_to_ask_for(tmp_path: Path, given: dict[str, object], share: float) -> None:
    assert whole_gpu(settings(tmp_path, **given), share) is None


@pytest.mark.parametrize(("resources", "threads"), [(None, 4), ({"CUDA": 1}, 1), ({"CUDA": 0.5}, 2)])
def test_a_local_worker_has_threads_for_all_that_share_its_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resources: dict[str, float] | None, threads: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    runner = task_runner(settings(tmp_path, engine="local", resources=resources))
    assert isinstance(runner, runners.DaskTaskRunner)
    assert runner.cluster_kwargs["threads"] == threads
    assert runner.cluster_kwargs["resources"] == {"CUDA": 1.0}
