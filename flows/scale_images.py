"""How time, memory and disk grow with the images: prepare portraits, decode them, train one node, judge it.

    python -m flows.scale_images FOLDER --images 12500 --images 25000

Each step runs in a process of its own, so that its memory is its own; docs/scale.md shows the figures. FOLDER, new or
empty, takes about 15 kB an image and is emptied of each number of images before the next.
"""

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from flows.parameters import PrepareParameters
from flows.photo_sources import Portraits
from flows.terminal import prefect_at_terminal
from flows.trees import resolve_tree
from infra.machine import machine_name
from infra.memory_watch import MemoryWatch
from infra.settings import load_settings
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.evaluation import evaluate
from tasks.metric.losses import loss_family
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import Subject, node_subject
from tasks.segments.decoded import decode
from tasks.segments.portraits import PortraitSpec
from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore, open_store

VALIDATION = 0.2  # of the prepared images
NODE = "hair"
SIZE = 48  # pixels, of portraits and of the node's pictures: small enough for 100,000 on two cores
OPTIONS = TrainingOptions(trunk="small", size=SIZE, epochs=1, device="cpu")


def prepare(folder: Path, images: int) -> dict[str, Any]:
    """Draw portraits into a store, by the flow of `heml prepare` and the engine of the settings."""
    validation = round(images * VALIDATION)
    spec = PortraitSpec(size=SIZE, train=images - validation, validation=validation)
    with prefect_at_terminal():
        from flows.prepare_data import prepare_data  # noqa: PLC0415 (after the server has started)

        started = time.perf_counter()
        prepare_data(PrepareParameters(photos=Portraits(spec=spec), out=folder / "store"))
        return {"seconds": time.perf_counter() - started, "disk": _disk(folder / "store")}


def decode_all(folder: Path, images: int) -> dict[str, Any]:
    """Decode both splits at one size."""
    store, started = open_store(folder / "store"), time.perf_counter()
    for split in SPLITS:
        decode(store, split, SIZE, folder / "decoded")
    return {"seconds": time.perf_counter() - started, "disk": _disk(folder / "decoded")}


def train(folder: Path, images: int) -> dict[str, Any]:
    """Train one node for one epoch."""
    started = time.perf_counter()
    store = open_store(folder / "store")
    opened = time.perf_counter()
    subject = _subject(store)
    data = subject.data(store, folder / "decoded")
    ready = time.perf_counter()
    reports: list[EpochReport] = []
    job = NodeJob(node=NODE, key="scale", folder=folder / "node", options=subject.options)
    result = subject.train(job, data, reports.append)
    return {
        "seconds": time.perf_counter() - started,
        "open_store": opened - started,
        "open_data": ready - opened,
        "epoch": len(data.train) // OPTIONS.batch * OPTIONS.batch / reports[0].images_per_second,
        "train_images": len(data.train),
        "precision_at_1": result.precision.at[1],
        "disk": _disk(folder / "node"),
    }


def judge(folder: Path, images: int) -> dict[str, Any]:
    """P@K over the node's validation images, from their embeddings."""
    store = open_store(folder / "store")
    view = _subject(store).data(store, folder / "decoded").validation
    embeddings = load_checkpoint(folder / "node" / "embeddings.safetensors")["validation"]
    started = time.perf_counter()
    found = evaluate(embeddings, torch.from_numpy(view.labels), loss_family(OPTIONS.loss).own_distance)
    return {"seconds": time.perf_counter() - started, "images": found.n, "precision_at_1": found.at[1]}


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "prepare": prepare,
    "decode": decode_all,
    "train": train,
    "judge": judge,
}


def measured(step: str, folder: Path, images: int) -> dict[str, Any]:
    """A step's figures, taken in a process of its own. Memory is in bytes, of it and of all that it started."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.scale_images", str(folder), "--images", str(images), "--step", step],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(
    folder: Annotated[Path, typer.Argument(help="for stores, decoded pictures and the node: new or empty")],
    images: Annotated[list[int], typer.Option(help="prepared, a fifth of them for validation")],
    step: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure prepare, decode, train and judge; one line of JSON a step."""
    if step is not None:
        with MemoryWatch() as watch:
            figures = STEPS[step](folder, images[0])
        memory = {"peak": asdict(watch.peak), "own_peak": asdict(watch.own_peak)}
        figures |= {"cpu": _cpu_seconds(), **memory}
        sys.stdout.write(json.dumps({"step": step, "prepared": images[0], **figures}) + "\n")
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise typer.BadParameter(f"{folder} is emptied for each number of images, and holds something: name a new one")
    sys.stdout.write(json.dumps({"machine": machine_name("cpu"), "workers": load_settings().worker_count}) + "\n")
    for number in images:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        for name in STEPS:
            sys.stdout.write(json.dumps(measured(name, folder, number)) + "\n")
            sys.stdout.flush()


def _subject(store: SegmentStore) -> Subject:
    settings = load_settings()
    options = replace(OPTIONS, threads=settings.threads)
    return node_subject(resolve_tree("demo", store)[NODE], store, options)


def _cpu_seconds() -> float:
    """Of this process and of those that it started and waited for; importing is in it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    typer.run(main)
