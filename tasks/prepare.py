"""Prefect tasks that make a segment store: the segmenter first where one is needed, then one task a shard."""

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from tasks.artifacts import post_table
from tasks.segments.segmenter import load_segmenter
from tasks.segments.segmenter_options import SegmenterOptions
from tasks.segments.shard_reader import read_header
from tasks.segments.shard_writer import shard_path
from tasks.segments.shards import ShardPlan, make_shard, shard_is_made
from tasks.segments.source import Source
from tasks.segments.source_segmenter import fit_on_source, keep, read_fit_notes


@task(name="fit-segmenter", task_run_name="fit segmenter", tags=["segment"])
def fit_source_segmenter(source: Source, options: SegmenterOptions, folder: str) -> dict[str, Any]:
    """Train a SegFormer on the photos that have masks, unless the folder holds the one of the same training.

    Args:
        source: the photos.
        options: architecture and training.
        folder: where the segmenter is kept.

    Returns:
        What it reached on the photos held out: IoU by class, their mean, pixel accuracy.

    Raises:
        InputError: too few photos have masks, or one cannot be read.
    """
    logger = get_run_logger()
    notes = fit_on_source(source, options, Path(folder), logger.info)
    table = [{"class": name, "IoU": value} for name, value in notes["segmenter_iou"].items()]
    post_table(key="segmenter", table=table, description="IoU on photos held out of the segmenter's training")
    return notes


@task(name="keep-segmenter", task_run_name="keep segmenter", tags=["segment"])
def keep_segmenter(name: str, folder: str) -> None:
    """Load a SegFormer by name or folder and keep it beside the store, so that a trained tree can carry it.

    Raises:
        InputError: it cannot be had.
    """
    keep(load_segmenter(name), Path(folder))


@task(name="make-shard", task_run_name="{plan.split} {plan.part}", tags=["segment"])
def make_store_shard(
    source: Source, plan: ShardPlan, store: str, classes: dict[int, str], segmenter: str | None, device: str
) -> dict[str, Any]:
    """Make one shard of the store, unless it is there.

    Args:
        source: the photos.
        plan: which photos.
        store: the store's folder.
        classes: the store's class table.
        segmenter: folder of the segmenter that makes missing label maps.
        device: where it computes, "cpu" or "cuda".

    Returns:
        Its split, part, number of rows, digest, and whether it was made now.

    Raises:
        InputError: a photo cannot be read or its mask does not fit; other shards are not touched.
    """
    made = not shard_is_made(Path(store), plan)
    if made:
        loaded = load_segmenter(segmenter, device) if segmenter else None
        header = make_shard(
            source, plan, Path(store), classes, loaded, read_fit_notes(Path(segmenter) if segmenter else None)
        )
    else:
        header = read_header(shard_path(Path(store), plan.split, plan.part))
    return {"split": plan.split, "part": plan.part, "rows": header.rows, "digest": header.digest, "made": made}
