"""Where a flow's tasks run on a cluster whose workers say what they have: one a GPU (so it says), one none."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed import Client, get_task_stream, get_worker

from flows.parameters import TrainParameters
from flows.train_tree import train_tree
from infra import processes
from infra.dask_processes import free_ports, start_scheduler, start_worker
from infra.runners import task_runner
from infra.settings import load_settings
from tasks.errors import InputError
from tasks.metric.options import TrainingOptions
from tasks.segments.store import SegmentStore

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]

TREE = "tree: [[body, badge], ground]\n"
NODES = 5


@pytest.fixture(scope="module")
def scheduler(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of two workers, each a process of its own."""
    settings = load_settings(home=tmp_path_factory.mktemp("dask"), device="cpu")
    started = [start_scheduler(settings, free_ports(0))]
    try:
        for name, resources in (("gpu", {"CUDA": 1.0}), ("cpu", {"CPU": 2.0})):
            variables = {"PREFECT_API_URL": prefect_server}
            started.append(
                start_worker(settings, name, started[0].url, threads=2, resources=resources, variables=variables)
            )
        for server in started:
            processes.wait_until_healthy(server)
        yield started[0].url
    finally:
        for server in reversed(started):
            processes.stop(server)


@pytest.fixture
def client(scheduler: str) -> Iterator[Client]:
    with Client(scheduler, set_as_default=False) as made:  # type: ignore[no-untyped-call]
        made.wait_for_workers(2, timeout=60)
        yield made


@pytest.fixture
def train(
    scheduler: str, store: SegmentStore, options: TrainingOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Runs the real flow with resources that are set by hand."""
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "ENGINE": "address",
        "DASK_ADDRESS": scheduler,
        "DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(f"HEML_{name}", value)
    tree = tmp_path / "tree.yaml"
    tree.write_text(TREE)
    quick = TrainingOptions(**{**vars(options), "epochs": 1})

    def run(resources: str, *, controls: bool = False) -> dict[str, Any]:
        monkeypatch.setenv("HEML_RESOURCES", resources)
        parameters = TrainParameters(store=store.path, tree=str(tree), options=quick, controls=controls)
        return train_tree.with_options(task_runner=task_runner(load_settings()))(parameters)

    return run


def places(client: Client, records: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Name of the worker to the functions of the tasks that ran there."""
    names = {address: worker["id"] for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()}
    found = defaultdict(list)
    for record in records:
        found[names[record["worker"]]].append(record["key"].rsplit("-", 1)[0])
    return {name: sorted(tasks) for name, tasks in found.items()}


def test_only_training_runs_where_the_gpu_is_and_it_runs_nowhere_else(
    client: Client, train: Callable[..., dict[str, Any]]
) -> None:
    with get_task_stream(client) as stream:
        outcome = train('{"CUDA": 1}', controls=True)
    assert {node["status"] for node in outcome["nodes"].values()} == {"trained"}
    found = places(client, stream.data)
    # Dask may do a task twice, so at least: five nodes; three leaves' masks and the background.
    assert (found["gpu"].count("train") >= NODES, found["gpu"].count("train_beside") >= 4) == (True, True), found
    assert {name: set(tasks) for name, tasks in found.items()} == {
        "gpu": {"train", "train_beside"},
        "cpu": {"assemble", "decode_store", "register"},
    }


def test_a_resource_that_nobody_offers_is_refused_within_30_seconds(train: Callable[..., dict[str, Any]]) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=r"training asks for CUDA=2, which no worker of \S+ offers"):
        train('{"CUDA": 2}')
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(("largest", "micro_batch", "again"), [(8, 8, False), (4, 16, True)])
def test_memory_that_is_shared_runs_out(
    largest: int,
    micro_batch: int,
    again: bool,
    client: Client,
    train: Callable[..., dict[str, Any]],
) -> None:
    """With half a GPU each no more than so many pictures fit in. Half a batch of 16 may; else the whole GPU is used."""

    def shrink() -> None:
        from tasks.metric.model import EmbeddingModel  # noqa: PLC0415 (the worker's)

        whole = EmbeddingModel.forward

        def forward(self: EmbeddingModel, pictures: torch.Tensor) -> torch.Tensor:
            worker = get_worker()  # type: ignore[no-untyped-call]
            asked = worker.state.tasks[worker.get_current_task()].resource_restrictions["CUDA"]
            if self.training and asked < 1 and len(pictures) > largest:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            return whole(self, pictures)

        EmbeddingModel.whole, EmbeddingModel.forward = whole, forward  # type: ignore[attr-defined, method-assign]

    def restore() -> None:
        from tasks.metric.model import EmbeddingModel  # noqa: PLC0415 (the worker's)

        EmbeddingModel.forward = EmbeddingModel.whole  # type: ignore[attr-defined, method-assign]

    client.run(shrink)
    try:
        with get_task_stream(client) as stream:
            outcome = train('{"CUDA": 0.5}')
    finally:
        client.run(restore)
    assert {node["status"] for node in outcome["nodes"].values()} == {"trained"}
    results = [load_settings().nodes / node["key"] / "result.json" for node in outcome["nodes"].values()]
    assert {json.loads(path.read_text())["micro_batch"] for path in results} == {micro_batch}
    trained = places(client, stream.data)
    assert set(trained["gpu"]) == {"train"}
    assert (len(trained["gpu"]) > NODES) == again
    assert "train" not in trained["cpu"]
