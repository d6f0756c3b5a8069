import os
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from infra import settings as module
from infra.settings import available_cores, load_settings
from tasks.errors import InputError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEML_")]:
        monkeypatch.delenv(name)


def gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)


def test_folders_are_absolute_and_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(home="x")
    assert settings.home == tmp_path / "x"
    assert settings.nodes == tmp_path / "x" / "nodes"
    assert settings.decoded == tmp_path / "x" / "decoded"
    assert settings.results == tmp_path / "x" / "results"
    assert settings.mlflow_artifacts == tmp_path / "x" / "mlflow-artifacts"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/x/mlflow.db"
    assert load_settings(home="~/y").home == Path.home() / "y"
    assert load_settings(cluster_file="c.yaml").cluster_file == tmp_path / "c.yaml"
    assert load_settings().cluster_file is None


def test_environment_is_read_and_arguments_overrule_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEML_WORKERS", "3")
    monkeypatch.setenv("HEML_RESOURCES", '{"CUDA": 0.5}')
    monkeypatch.setenv("HEML_MLFLOW_URI", "http://127.0.0.1:5000")
    settings = load_settings(workers=None)
    assert (settings.workers, settings.resources) == (3, {"CUDA": 0.5})
    assert settings.tracking_uri == "http://127.0.0.1:5000"
    assert load_settings(workers=2).workers == 2


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().threads = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "HEML_ENGINE",
            "spark",
            r"engine \(HEML_ENGINE\): input should be 'threads', 'local', 'address' or 'cluster'; got 'spark'",
        ),
        ("HEML_WORKERS", "0", r"workers \(HEML_WORKERS\): input should be greater than 0; got '0'"),
        (
            "HEML_RESOURCES",
            '{"CUDA": -1}',
            r"resources.CUDA \(HEML_RESOURCES\): input should be greater than 0; got -1",
        ),
        ("HEML_RESOURCES", '{"CUDA": 1', r"resources \(HEML_RESOURCES\): input should be a valid dictionary"),
    ],
)
def test_wrong_value_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("number", "device"), [(0, "cpu"), (2, "cuda")])
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, number: int, device: str) -> None:
    gpus(monkeypatch, number)
    assert load_settings(device="auto").torch_device == device


def test_cuda_without_a_gpu_is_wrong_here_but_not_for_workers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    with pytest.raises(InputError, match="torch sees no GPU on this machine"):
        _ = load_settings(device="cuda", engine="local").torch_device
    assert load_settings(device="cuda", engine="address").torch_device == "cuda"
    assert load_settings(device="cuda", engine="cluster").torch_device == "cuda"


def test_workers_follow_gpus_or_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 3)
    monkeypatch.setattr(module, "available_cores", lambda: 8)
    assert load_settings(device="cuda").worker_count == 3
    assert load_settings(device="cpu").worker_count == 8
    assert load_settings(device="cpu", threads=3).worker_count == 2
    assert load_settings(device="cpu", threads=9).worker_count == 1
    assert load_settings(device="cpu", threads=9, workers=5).worker_count == 5


def test_cores_are_those_that_this_process_may_use() -> None:
    assert available_cores() == len(os.sched_getaffinity(0))


def test_resources_follow_the_device_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    assert load_settings(device="cuda").task_resources == {"CUDA": 1}
    assert load_settings(device="cpu").task_resources == {}
    assert load_settings(device="cpu", resources={"CUDA": 0.5}).task_resources == {"CUDA": 0.5}
    assert load_settings(device="cuda", resources={}).task_resources == {}
