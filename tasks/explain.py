"""Prefect tasks that explain pairs of photos."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from prefect import task

from infra.tracking import open_tracker
from tasks.artifact_keys import artifact_key
from tasks.artifacts import post_markdown
from tasks.explanation.explain_pairs import naming
from tasks.explanation.explain_photos import EXPLANATION_FILES, explain_photos
from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.markdown import markdown_text
from tasks.explanation.pair_list import write_pair_list
from tasks.explanation.pair_table import PairRow
from tasks.metric.trained_tree import TrainedTree, open_trained_tree

_OPENING = threading.Lock()  # threads of one process wait for the first of them


@task(name="explain-pair", task_run_name="explain {row.photos[0]} and {row.photos[1]}", tags=["explain"])
def explain(model: str, device: str, row: PairRow, out: str, listed: bool, run_id: str) -> dict[str, Any]:
    """Explain two photos and post the tree of distances.

    Args:
        model: folder of the trained tree.
        device: "cpu" or "cuda".
        row: the pair.
        out: folder for explanation.json, tree.png and index.html.
        listed: whether it is one of a list: its files are in its own folder below `out`.
        run_id: the flow's run, which opens the model once a process.

    Returns:
        What explanation.json holds.

    Raises:
        InputError: the model, a photo or a mask cannot be used.
    """
    folder = _folder(out, row, listed)
    with _OPENING:
        trained = _opened(model, device, run_id)
    with naming(row) if listed else nullcontext():
        explanation = explain_photos(
            trained, row.photos, row.masks, folder, labels=row.labels, place=row.place if listed else None
        )
    lines = ["| node | bounded distance | percentile |", "|---|---|---|"]
    for node in explanation.nodes:
        known = node.bounded_distance is not None and node.percentile is not None
        lines.append(
            f"| {markdown_text(node.name)} | {node.bounded_distance:.3f} | {node.percentile:.0f} |"
            if known
            else f"| {markdown_text(node.name)} | - | - |"
        )
    text = "\n".join([f"Page: {markdown_text(str(folder / 'index.html'))}", "", *lines])
    post_markdown(key=artifact_key("explanation"), markdown=text, description="distances, leaf to root")
    return explanation_json(explanation)


@task(name="keep-explanations", task_run_name="keep", tags=["explain"])
def keep_explanations(rows: Sequence[PairRow], out: str, listed: bool, tracking: str, run_id: str) -> None:
    """Write the list of pairs, where there is one, and keep all files in the tracking store, under `explanation`.

    Args:
        rows: the pairs that are explained.
        out: as of `explain`.
        listed: likewise.
        tracking: address of the tracking store.
        run_id: the flow's run.
    """
    tracker = open_tracker(tracking)
    for row in rows:
        folder = _folder(out, row, listed)
        for name in EXPLANATION_FILES:
            tracker.log_artifact(run_id, folder / name, f"explanation/{row.place.folder}" if listed else "explanation")
    if listed:
        write_pair_list(rows, Path(out))
        tracker.log_artifact(run_id, Path(out) / "index.html", "explanation")


@lru_cache(maxsize=1)
def _opened(model: str, device: str, run_id: str) -> TrainedTree:
    """The tree, with the checkpoints and the segmenter that the run's pairs have loaded by now."""
    return open_trained_tree(Path(model), device)


def _folder(out: str, row: PairRow, listed: bool) -> Path:
    return Path(out) / row.place.folder if listed else Path(out)
