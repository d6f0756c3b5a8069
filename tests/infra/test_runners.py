"""Which engine runs the tasks, and that a wrong one is said at once instead of waiting."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import dask
import pytest
import torch
from distributed import SpecCluster
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from infra import processes, runners
from infra.runners import check_engine, local_cluster, ordinary_resources, task_runner, training_resources
from infra.settings import Settings, load_settings
from infra.worker_environment import WORKER_ENVIRONMENT
from tasks.errors import InputError


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def some_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")


def settings(tmp_path: Path, **given: object) -> Settings:
    return load_settings(**{"home": tmp_path, "device": "cpu", **given})


def test_threads_are_as_many_as_workers(tmp_path: Path) -> None:
    runner = task_runner(settings(tmp_path, engine="threads", workers=3))
    assert isinstance(runner, ThreadPoolTaskRunner)
    assert runner._max_workers == 3


def cluster_of(given: Settings) -> Mapping[str, object]:
    runner = task_runner(given)
    assert isinstance(runner, runners.DaskTaskRunner)
    assert runner.cluster_class is local_cluster
    return runner.cluster_kwargs


def test_local_cluster_has_one_worker_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    asked = cluster_of(settings(tmp_path, device="cuda"))
    assert asked["environments"] == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    assert asked["resources"] == {"CUDA": 1.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    asked = cluster_of(settings(tmp_path, device="cuda", workers=3))
    assert [e["CUDA_VISIBLE_DEVICES"] for e in asked["environments"]] == ["GPU-a", "GPU-b", "GPU-a"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("resources", "offered", "threads"),
    [
        (None, {}, 1),
        ({"CUDA": 1}, {"CUDA": 1.0}, 1),
        ({"CUDA": 0.25}, {"CUDA": 1.0}, 4),
        ({"CUDA": 2}, {"CUDA": 2.0}, 1),
        ({"CUDA": 0.5, "MEMORY": 3}, {"CUDA": 1.0, "MEMORY": 3.0}, 1),
    ],
)
def test_local_workers_offer_what_is_asked_for(
    tmp_path: Path, resources: dict[str, float] | None, offered: dict[str, float], threads: int
) -> None:
    asked = cluster_of(settings(tmp_path, workers=1, resources=resources))
    assert asked == {"environments": [{}], "resources": offered, "threads": threads}


def test_training_resources_annotate_for_dask_only(tmp_path: Path) -> None:
    def annotations(given: Settings) -> object:
        with training_resources(given):
            return dask.get_annotations()

    assert annotations(settings(tmp_path, resources={"CUDA": 0.5})) == {"resources": {"CUDA": 0.5}}
    assert annotations(settings(tmp_path)) == {}
    assert annotations(settings(tmp_path, engine="threads", resources={"CUDA": 1})) == {}


@pytest.mark.usefixtures("no_server")
def test_dask_without_a_prefect_server_is_refused(tmp_path: Path) -> None:
    for engine in ("local", "address"):
        with pytest.raises(InputError, match="the Dask engine needs a Prefect server that its workers can reach"):
            check_engine(settings(tmp_path, engine=engine))
    check_engine(settings(tmp_path, engine="threads"))


@pytest.mark.usefixtures("some_server")
def test_engine_address_without_an_address_is_refused(tmp_path: Path) -> None:
    check_engine(settings(tmp_path, engine="local"))
    with pytest.raises(InputError, match="HEML_DASK_ADDRESS=tcp://HOST:8786"):
        check_engine(settings(tmp_path, engine="address"))


@pytest.mark.usefixtures("some_server")
@pytest.mark.parametrize("scheme", ["tcp://", "nonsense://", ""])
def test_dask_address_where_nobody_answers_is_refused_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(runners, "CONNECT_TIMEOUT", 1.0)
    with processes.listen(0) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(InputError, match=rf"no Dask scheduler answers at {scheme}127.0.0.1:{port}"):
        check_engine(settings(tmp_path, engine="address", dask_address=f"{scheme}127.0.0.1:{port}"))
    assert time.monotonic() - began < 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[SpecCluster]:
    with local_cluster(environments=[{"HEML_TEST": "yes"}], threads=2, resources={"CUDA": 1}) as made:
        yield made


@pytest.mark.server
@pytest.mark.usefixtures("some_server")
def test_resource_that_no_worker_offers_is_named(tmp_path: Path, cluster: SpecCluster) -> None:
    def check(**given: object) -> None:
        check_engine(settings(tmp_path, engine="address", dask_address=cluster.scheduler_address, **given))

    with pytest.raises(InputError, match=r'training asks for CUDA=2, .*\(offered: CUDA=1\).*--resources "CUDA=2"'):
        check(resources={"CUDA": 2})
    with pytest.raises(InputError, match=r"training asks for TPU=1, which no worker"):
        check(resources={"TPU": 1})
    # It offers enough, but cannot reach the server.
    with pytest.raises(
        InputError, match=r"Dask worker tcp://\S+ does not reach the Prefect server at http://127.0.0.1:1"
    ):
        check(resources={"CUDA": 0.5})


@pytest.mark.server
@pytest.mark.usefixtures("some_server")
def test_scheduler_without_workers_is_refused(tmp_path: Path) -> None:
    with (
        local_cluster(environments=[], threads=1, resources={}) as empty,
        pytest.raises(InputError, match=r"has no worker: start one with `dask worker tcp://"),
    ):
        check_engine(settings(tmp_path, engine="address", dask_address=empty.scheduler_address))


@pytest.mark.server
def test_ordinary_tasks_ask_for_a_cpu_where_a_scheduler_has_such_workers(tmp_path: Path, cluster: SpecCluster) -> None:
    def asked(address: str | None) -> object:
        with ordinary_resources(settings(tmp_path, engine="address", dask_address=address)):
            return dask.get_annotations()

    assert asked(cluster.scheduler_address) == {}
    with local_cluster(environments=[{}], threads=1, resources={"CPU": 2}) as plain:
        assert asked(plain.scheduler_address) == {"resources": {"CPU": 1.0}}


@pytest.mark.server
def test_worker_is_of_this_machine_and_keeps_freed_memory(cluster: SpecCluster) -> None:
    with runners.Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        environments = client.run(lambda: dict(os.environ))
        levels = client.run(lambda: logging.getLogger("distributed.worker").level)
    assert list(levels.values()) == [logging.CRITICAL]
    for address, environment in environments.items():
        assert address.startswith("tcp://127.0.0.1:")
        assert environment["HEML_TEST"] == "yes"
        assert WORKER_ENVIRONMENT.items() <= environment.items()


@pytest.mark.server
def test_a_parent_does_not_go_before_other_leaves(tmp_path: Path, cluster: SpecCluster) -> None:
    def began(*_: object) -> float:
        moment = time.monotonic()
        time.sleep(0.1)
        return moment

    given = settings(tmp_path)
    with runners.Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        with training_resources(given, chain=2.0):
            leaves = [client.submit(began, pure=False) for _ in range(12)]
        with training_resources(given, chain=1.0):
            parent = client.submit(began, leaves[0], leaves[1], pure=False)
        assert parent.result() > max(client.gather(leaves))


@task
def work(number: int, seconds: float) -> tuple[int, str, float, float]:
    """Says when it ran, and in which process."""
    began = time.monotonic()
    time.sleep(seconds)
    return number, str(os.getpid()), began, time.monotonic()


def most_at_once(spans: list[tuple[int, str, float, float]]) -> int:
    """By looking at each beginning: how many were under way then."""
    return max(sum(began <= moment < ended for _, _, began, ended in spans) for _, _, moment, _ in spans)


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_tasks_wait_for_the_resource(tmp_path: Path, cluster: SpecCluster) -> None:
    """The worker has two threads and one CUDA: tasks that ask for one run one by one, for a half in pairs."""

    def run(resources: dict[str, float]) -> list[tuple[int, str, float, float]]:
        given = settings(tmp_path, engine="address", dask_address=cluster.scheduler_address, resources=resources)
        check_engine(given)

        @flow(task_runner=task_runner(given))
        def numbers() -> list[tuple[int, str, float, float]]:
            with training_resources(given):
                futures = [work.submit(number, 0.5) for number in range(4)]
            return [future.result() for future in futures]

        return numbers()

    alone, in_pairs = run({"CUDA": 1}), run({"CUDA": 0.5})
    assert [span[0] for span in alone] == [0, 1, 2, 3]
    assert str(os.getpid()) not in {span[1] for span in (*alone, *in_pairs)}
    assert most_at_once(alone) == 1
    assert most_at_once(in_pairs) == 2


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_local_engine_runs_a_flow_and_ends_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = settings(tmp_path, engine="local", workers=2, resources={"CUDA": 1})
    check_engine(given)

    @flow(task_runner=task_runner(given))
    def numbers() -> list[tuple[int, str, float, float]]:
        with training_resources(given):
            futures = [work.submit(number, 0.2) for number in range(4)]
        return [future.result() for future in futures]

    spans = numbers()
    assert sorted(span[0] for span in spans) == [0, 1, 2, 3]
    for pid in {span[1] for span in spans}:
        assert most_at_once([span for span in spans if span[1] == pid]) == 1
    said = capfd.readouterr()
    for word in ("Traceback", "distributed", "dashboard", "CommClosed"):
        assert word not in said.out + said.err
