"""Workers that are asked for: by a stand-in for Slurm that runs each job at once, as a process of this machine."""

import os
import sys
import time
from pathlib import Path

import dask
import pytest
from distributed import Client, get_worker
from prefect import flow, task

from infra import requested_cluster as module
from infra import runners, slurm_cluster
from infra.dask_tls import write_certificate
from infra.requested_cluster import requested_cluster, wait_for_workers
from infra.runners import check_engine, ordinary_resources, task_runner, training_resources
from infra.settings import Settings, load_settings
from tasks.errors import InputError

FILE = """
kind: slurm
wait_seconds: 90
interface: lo
cpu: {count: 1, cores: 1, memory: 1 GiB, tasks: 1, walltime: "00:10:00"}
cuda: {count: 1, cores: 1, memory: 1 GiB, tasks: 4, walltime: "00:10:00"}
"""
SBATCH = """#!/bin/bash
cp "$1" "$FAKE_SLURM/$$.sh"
setsid bash "$FAKE_SLURM/$$.sh" >"$FAKE_SLURM/$$.out" 2>&1 </dev/null &
echo "$!" >>"$FAKE_SLURM/jobs"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
echo "$1" >>"$FAKE_SLURM/cancelled"
kill -TERM -- "-$1"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder where a stand-in for Slurm leaves word of its jobs."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, script in {"sbatch": SBATCH, "scancel": SCANCEL}.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def settings(tmp_path: Path, text: str = FILE, **given: object) -> Settings:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    usual = {"home": tmp_path / "home", "device": "cpu", "engine": "cluster", "cluster_file": path}
    return load_settings(**{**usual, "resources": {"CUDA": 1}, **given})


@task
def place() -> str:
    """Name of the worker that runs it."""
    return str(get_worker().name)


@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_flows_share_workers_and_each_task_goes_where_it_belongs(tmp_path: Path, slurm: Path) -> None:
    given = settings(tmp_path)
    told: list[str] = []

    def submit(number: int) -> tuple[set[str], set[str]]:
        with training_resources(given):
            trainings = [place.submit() for _ in range(number)]
        with ordinary_resources(given):
            others = [place.submit() for _ in range(number)]
        return {future.result() for future in trainings}, {future.result() for future in others}

    again = settings(tmp_path)  # as a flow reads them that is called within another

    @flow(task_runner=task_runner(again))
    def inner() -> tuple[set[str], set[str]]:
        check_engine(again, told.append)
        return submit(1)

    @flow(task_runner=task_runner(given))
    def outer() -> list[tuple[set[str], set[str]]]:
        check_engine(given, told.append)
        return [submit(3), inner()]

    assert outer() == [({"heml-cuda-0"}, {"heml-cpu-0"})] * 2
    assert told[0] == "waiting for a worker that offers CUDA=1 and CPU=1: 0 of 2 workers are there after 0 s"
    jobs = lines(slurm / "jobs")
    assert len(jobs) == 2
    assert sorted(lines(slurm / "cancelled")) == sorted(jobs)
    assert not list(given.home.glob("dask-tls-*"))


@pytest.mark.server
def test_a_job_that_ended_is_asked_for_again(tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_cluster, "ASK_AGAIN", 0.5)
    given = settings(tmp_path, FILE.replace("cpu: {", "# {"))
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "500 ms"}),
        requested_cluster(given) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        wait_for_workers(client, given, lambda _: None)
        first = lines(slurm / "jobs")
        os.killpg(int(first[0]), 9)
        deadline = time.monotonic() + 60
        while len(lines(slurm / "jobs")) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        wait_for_workers(client, given, lambda _: None)
        with training_resources(given):
            assert client.submit(lambda: get_worker().name).result(timeout=60) == "heml-cuda-0"
    assert len(lines(slurm / "jobs")) == 2


@pytest.mark.server
def test_a_stranger_does_not_get_in(tmp_path: Path, slurm: Path) -> None:
    given = settings(tmp_path)
    with requested_cluster(given) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://127.0.0.1:")
        theirs = write_certificate(tmp_path / "theirs")
        with pytest.raises(OSError, match="TLS certificate does not match"):
            Client(address, timeout=2, security=theirs, set_as_default=False)  # type: ignore[no-untyped-call]
        bare = settings(tmp_path, engine="address", dask_address=address)
        with pytest.raises(InputError, match=r"tls://127.0.0.1:.* wants a certificate: set DASK_DISTRIBUTED__"):
            ordinary_resources(bare)
    assert len(lines(slurm / "cancelled")) == 2


@pytest.mark.server
def test_workers_that_do_not_come_are_not_waited_for_without_end(
    tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.05)
    (slurm / "sbatch").write_text("#!/bin/sh\necho Submitted batch job 7\n")  # it stays in the queue
    (slurm / "scancel").write_text("#!/bin/sh\n")
    given = settings(tmp_path, FILE.replace("wait_seconds: 90", "wait_seconds: 0.5"))
    told: list[str] = []
    with (
        requested_cluster(given) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
        pytest.raises(
            InputError,
            match=r"no worker that offers CUDA=1 and CPU=1 came within 0 s \(0 of 2 .*\): look at `squeue --me`",
        ),
    ):
        wait_for_workers(client, given, told.append)
    assert len(told) == 1


def refused(given: Settings, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_engine(given)
    assert "\n" not in str(caught.value)


@pytest.fixture
def some_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")


@pytest.mark.usefixtures("some_server")
def test_what_cannot_work_is_said_before_anything_is_asked_for(tmp_path: Path) -> None:
    refused(settings(tmp_path, cluster_file=None), "set HEML_CLUSTER_FILE, for example to a copy of infra/clusters")
    refused(settings(tmp_path, FILE.replace("kind: slurm", "kind: pbs")), "needs the field kind")
    no_gpus = FILE.replace("cuda: {", "# {")
    refused(settings(tmp_path, no_gpus), r"training asks for CUDA=1, which no worker of .*\(offered: CPU=1\)")
    refused(settings(tmp_path, resources={"CUDA": 2}), r"asks for CUDA=2, .*\(offered: CPU=1; CUDA=1\)")
    check_engine(settings(tmp_path))
    check_engine(settings(tmp_path, no_gpus, resources={}))


@pytest.mark.usefixtures("some_server")
def test_auto_does_not_leave_the_workers_gpus_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.settings.gpu_count", lambda: 0)
    refused(settings(tmp_path, device="auto", resources=None), "set HEML_DEVICE to cuda or cpu")
    check_engine(settings(tmp_path, device="cuda", resources=None))
    check_engine(settings(tmp_path, FILE.replace("cuda: {", "# {"), device="auto", resources=None))


@pytest.mark.usefixtures("some_server")
@pytest.mark.parametrize(
    ("kind", "module_name", "package"),
    [("slurm", "dask_jobqueue", "dask-jobqueue"), ("kubernetes", "dask_kubernetes", "dask-kubernetes")],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, module_name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module_name, None)
    for part in (f"{module_name}.slurm", f"{module_name}.operator", "infra.slurm_cluster", "infra.kubernetes_cluster"):
        monkeypatch.delitem(sys.modules, part, raising=False)
    example = Path(runners.__file__).parent / "clusters" / f"{kind}.yaml"
    given = settings(tmp_path, example.read_text())
    with (
        pytest.raises(InputError, match=rf"of kind {kind} needs the package {package}, .*'\.\[cluster\]'"),
        requested_cluster(given),
    ):
        pass


def test_ordinary_tasks_ask_for_a_cpu_where_there_are_such_workers(tmp_path: Path) -> None:
    def asked(given: Settings) -> object:
        with ordinary_resources(given):
            return dask.get_annotations()

    assert asked(settings(tmp_path)) == {"resources": {"CPU": 1.0}}
    assert asked(settings(tmp_path, FILE.replace("cpu: {", "# {"))) == {}
    for engine in ("threads", "local"):
        assert asked(settings(tmp_path, engine=engine)) == {}
