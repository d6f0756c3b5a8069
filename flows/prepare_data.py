"""Photos to a segment store: segmenter where one is needed, then the shards, each a task of its own."""

import shutil
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.console import say
from flows.follow import follow
from flows.parameters import PrepareParameters
from flows.photo_sources import Labelled
from flows.writable import check_writable
from infra.outage import outlive_outages
from infra.runners import check_engine, ordinary_resources, task_runner, training_resources
from infra.settings import Settings, load_settings
from tasks.errors import InputError
from tasks.prepare import fit_source_segmenter, keep_segmenter, make_store_shard
from tasks.segments.dominant_label import DominantLabel
from tasks.segments.folder_source import FolderSource
from tasks.segments.segmenter import load_segmenter
from tasks.segments.segmenter_options import SegmenterOptions
from tasks.segments.shard_writer import shard_path
from tasks.segments.shards import plan_shards, shard_is_made
from tasks.segments.source import SPLITS
from tasks.segments.source_segmenter import FIT_FILE, is_fitted
from tasks.segments.store import open_store
from tasks.segments.stratify import some
from tasks.temporary_path import check_replaceable

SHARDS_TOLD = 10  # of those that failed
FINE_TUNING_RATE = 1e-4  # of a published segmenter's weights


@flow(name="prepare-data", flow_run_name="prepare {parameters.out.name}", task_runner=task_runner(load_settings()))
def prepare_data(parameters: PrepareParameters) -> dict[str, Any]:
    """Make a segment store, or what is missing of it.

    Args:
        parameters: where the photos come from, and where the store goes.

    Returns:
        "store" (folder), "digest", "images" by split, "made" (number of shards made now), and the segmenter's figures.

    Raises:
        InputError: a photo, a mask, a label or a class is wrong; shards that are done stay done.
    """
    settings = load_settings()
    check_engine(settings, say)
    check_writable(parameters.out)
    if not any(parameters.out.glob("split=*")):  # else it is a store, and its segmenter our own
        check_replaceable(parameters.out / "segmenter", FIT_FILE)
    return outlive_outages(lambda: _prepared(parameters, settings), settings, say)


def _prepared(parameters: PrepareParameters, settings: Settings) -> dict[str, Any]:
    photos, store = parameters.photos, parameters.out.resolve()
    source = photos.source()
    if isinstance(photos, Labelled) and photos.label_segment is not None:
        say(f"reading every mask once: the label is whether a photo has the segment {photos.label_segment}")
        source.items()  # kept for later; what is wrong with the masks is said before a segmenter is trained
    if isinstance(source, FolderSource) and isinstance(source.label, DominantLabel):
        say("reading every mask once: the label is the class with the most pixels")
        _say_left_out(source.left_out(), source.label.least_photos)
    if isinstance(source, FolderSource) and (unlisted := source.unlisted()):
        what = "photo" if len(unlisted) == 1 else "photos"
        say(f"left out {len(unlisted)} {what} that {source.labels} does not list: {some(unlisted)}")
    classes, segmenter = source.classes(), store / "segmenter"
    notes: dict[str, Any] = {}
    if parameters.fit_segmenter:
        options = segmenter_options(parameters, settings)
        if not is_fitted(source, options, segmenter):
            start = f"{parameters.segmenter} on" if parameters.segmenter else "a SegFormer on"
            say(f"training {start} the photos that have masks")
        with training_resources(settings):
            notes = follow(fit_source_segmenter.submit(source, options, str(segmenter)))
        say(f"segmenter: mean IoU {notes['segmenter_miou']:.3f} on photos held out")
    elif parameters.segmenter:
        with ordinary_resources(settings):
            keep_segmenter.submit(parameters.segmenter, str(segmenter)).result()
    elif segmenter.is_dir():
        shutil.rmtree(segmenter)  # of an earlier preparation, which this one does not use
    digest = None
    if segmenter.is_dir():
        loaded = load_segmenter(str(segmenter))
        classes, digest = classes or loaded.classes, loaded.digest
    if not classes:
        raise InputError("the photos have no masks: give --segmenter NAME, or --masks and --classes")
    plans = plan_shards(source, classes, digest)
    folder, device = str(segmenter) if digest else None, settings.torch_device
    with training_resources(settings) if folder else ordinary_resources(settings):
        futures = [make_store_shard.submit(source, plan, str(store), classes, folder, device) for plan in plans]
    shards = _collect(futures)
    for split in SPLITS:  # shards of an earlier, larger preparation
        for path in (store / f"split={split}").glob("part-*.parquet"):
            if path not in {shard_path(store, plan.split, plan.part) for plan in plans}:
                path.unlink()
    opened = open_store(store)
    images = {split: opened.rows(split) for split in SPLITS}
    say(f"store: {store}, {images['train']} training and {images['validation']} validation images")
    made = sum(shard["made"] for shard in shards)
    return {"store": str(store), "digest": opened.digest, "images": images, "made": made, **notes}


def prepare_runner(parameters: PrepareParameters, settings: Settings) -> TaskRunner[Any]:
    """The engine for a run: the settings' one, or threads where the store is whole and no segmenter is to be made.

    Raises:
        InputError: the source's description is wrong.
    """
    source, store = parameters.photos.source(), parameters.out.resolve()
    options, segmenter_folder = segmenter_options(parameters, settings), store / "segmenter"
    if parameters.segmenter or (parameters.fit_segmenter and not is_fitted(source, options, segmenter_folder)):
        return task_runner(settings)
    segmenter = load_segmenter(str(segmenter_folder)) if parameters.fit_segmenter else None
    plans = plan_shards(source, source.classes(), segmenter.digest if segmenter else None)
    if all(shard_is_made(store, plan) for plan in plans):
        return ThreadPoolTaskRunner(max_workers=2)
    return task_runner(settings)


def segmenter_options(parameters: PrepareParameters, settings: Settings) -> SegmenterOptions:
    """How the segmenter is trained: from scratch, or from the one that is named."""
    scratch = SegmenterOptions(
        epochs=parameters.segmenter_epochs, size=parameters.segmenter_size, device=settings.torch_device
    )
    start = parameters.segmenter
    return replace(scratch, start=start, learning_rate=FINE_TUNING_RATE) if start else scratch


def _say_left_out(photos: dict[str, int], fewest: int) -> None:
    """Say how many photos are left out because their label is rare."""
    if photos:
        of_labels = ", ".join(f"{name} {count}" for name, count in photos.items())
        say(f"left out {sum(photos.values())} photos, of labels with fewer than {fewest}: {of_labels}")


def _collect(futures: list[PrefectFuture[Any]]) -> list[dict[str, Any]]:
    """Wait for every shard, also after one failed: what can be made is made, and each cause is told."""
    shards, failed = [], list[Exception]()
    for number, future in enumerate(futures, start=1):
        try:
            shards.append(future.result())
        except Exception as error:
            failed.append(error)
            continue
        done = "made" if shards[-1]["made"] else "there"
        say("[{}/{}] {split} shard {part}: {rows} images, ".format(number, len(futures), **shards[-1]) + done)
    if failed:
        failed.sort(key=lambda each: isinstance(each, InputError))  # an outage first: it can be outlived
        for other in failed[1:SHARDS_TOLD]:
            if isinstance(other, InputError):
                say(str(other))
        raise failed[0]
    return shards
