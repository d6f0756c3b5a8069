"""The chain on real photos with masks, where there are some: set HEML_PHOTOS to a folder as README's Tests says."""

import csv
import json
import os
from pathlib import Path

import pytest

from flows.parameters import PrepareParameters, TrainParameters
from flows.photo_sources import Folder
from flows.prepare_data import prepare_data
from flows.train_tree import train_tree
from tasks.explanation.explain_photos import explain_photos
from tasks.metric.evaluate_tree import evaluate_tree
from tasks.metric.options import TrainingOptions
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import open_store

FOLDER = os.environ.get("HEML_PHOTOS", "")
PHOTOS = 120


def two_valued_column(labels: Path) -> str:
    with labels.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return next(name for name in rows[0] if name != "id" and len({row[name] for row in rows}) == 2)


@pytest.mark.photos
@pytest.mark.server
@pytest.mark.skipif(not FOLDER, reason="HEML_PHOTOS names no folder of real photos")
def test_real_photos_become_an_explained_tree(
    prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": str(tmp_path / "home"), "ENGINE": "threads", "DEVICE": "cpu"}.items():
        monkeypatch.setenv(f"HEML_{name}", value)
    folder = Path(FOLDER)
    photos = Folder(
        images=folder / "images",
        masks=folder / "masks",
        classes=folder / "classes.json",
        labels=folder / "labels.csv",
        label=two_valued_column(folder / "labels.csv"),
        limit=PHOTOS,
    )
    prepare_data(PrepareParameters(photos=photos, out=tmp_path / "store"))
    store = open_store(tmp_path / "store")
    assert store.rows("train") + store.rows("validation") == PHOTOS
    options = TrainingOptions(trunk="small", size=32, framing="crop", epochs=1)
    outcome = train_tree(TrainParameters(store=store.path, out=tmp_path / "run", options=options))
    nodes = outcome["nodes"]
    assert len(nodes) == 2 * (len(json.loads((folder / "classes.json").read_text())) - 1) - 1
    assert {node["status"] for node in nodes.values()} <= {"trained", "degenerate"}
    assert nodes[outcome["root"]]["status"] == "trained"
    trained = open_trained_tree(tmp_path / "run" / "model")
    for name, precision in evaluate_tree(trained, store, tmp_path / "home" / "decoded"):
        assert precision.at[1] == nodes[name]["precision_at_1"]
    ids = [row.image_id for row in store.iterate("validation")][:2]
    images, masks = (
        [next(path for path in (folder / part).iterdir() if path.stem == name) for name in ids]
        for part in ("images", "masks")
    )
    explanation = explain_photos(trained, (images[0], images[1]), (masks[0], masks[1]), tmp_path / "explanation")
    assert explanation.root.bounded_distance is not None
    assert (tmp_path / "explanation" / "index.html").is_file()
