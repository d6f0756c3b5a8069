import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tasks.errors import InputError
from tasks.explanation.retrieval_report import write_retrieval_report
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.distances import squared_euclidean_distance
from tasks.metric.episodes import EpisodeOptions, few_shot
from tasks.metric.retrieval import retrieval
from tasks.metric.training_data import split_view
from tasks.segments.store import SegmentStore

OPTIONS = EpisodeOptions(ways=2, queries=2, episodes=20, seed=4)


def test_the_figures_are_those_of_the_node_s_embeddings(grown: Any, tmp_path: Path) -> None:
    report = write_retrieval_report(grown.trained, grown.store, "badge", OPTIONS, grown.decoded, tmp_path)
    kept = load_checkpoint(grown.results["badge"].embeddings)
    view = split_view(grown.store, "validation", (2,), grown.options, grown.decoded)
    vectors, labels = kept["validation"], torch.from_numpy(view.labels)
    distances = squared_euclidean_distance(vectors, vectors)
    assert report.retrieval == retrieval(distances, labels)
    assert report.retrieval.map_at_r is not None
    assert [result.options.shots for result in report.few_shot] == [1, 5]
    for result in report.few_shot:
        again = few_shot(vectors, labels, ("day", "night"), "squared_euclidean", result.options)
        assert result.accuracy == pytest.approx(again.accuracy)
    assert (report.retrieval.images, report.retrieval.labels, report.novel_labels) == (len(view), 2, 0)


def test_what_is_written_says_the_same(grown: Any, tmp_path: Path) -> None:
    report = write_retrieval_report(grown.trained, grown.store, "body", OPTIONS, grown.decoded, tmp_path / "answers")
    written = json.loads((tmp_path / "answers/retrieval.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(report.to_dict()))
    at_1 = report.retrieval.recall[1]
    assert at_1 is not None and written["retrieval"]["recall"]["1"]["value"] == at_1.value
    assert written["few_shot"][1]["options"]["shots"] == 5 and written["few_shot"][1]["chance"] == 0.5
    markdown = (tmp_path / "answers/retrieval.md").read_text(encoding="utf-8")
    assert f"| Recall@1 | {100 * at_1.value:.1f} ({100 * at_1.interval[0]:.1f} to " in markdown
    assert f"| 2-way 5-shot accuracy | {100 * report.few_shot[1].accuracy:.1f} (" in markdown
    pictures = {path.name for path in (tmp_path / "answers").glob("*.png")}
    assert pictures == set(report.sheets) == set(written["sheets"])
    assert pictures <= {f"{task}-{kind}.png" for task in TASKS for kind in ("right", "wrong")}
    # No colour of a body says anything: some answers are right and some are wrong.
    assert {f"{task}-right.png" for task in TASKS} <= pictures and "retrieval-wrong.png" in pictures
    for name in pictures:
        with Image.open(tmp_path / "answers" / name) as sheet:
            sheet.verify()


TASKS = ("retrieval", "2-way-1-shot", "2-way-5-shot")


def test_sheets_of_an_earlier_run_go(grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    # Of one label alone no answer is wrong.
    store = make_store(
        tmp_path / "store", change=lambda row: row if row.split == "train" else replace(row, label="day")
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out/retrieval-wrong.png").write_bytes(b"old")
    report = write_retrieval_report(grown.trained, store, "badge", None, tmp_path / "decoded", tmp_path / "out")
    assert report.sheets == ("retrieval-right.png",) and report.few_shot == ()
    assert not (tmp_path / "out/retrieval-wrong.png").exists()


def test_labels_that_training_never_saw_are_counted(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    names = {"day": "noon", "night": "night"}
    store = make_store(
        tmp_path / "store",
        change=lambda row: row if row.split == "train" else replace(row, label=names[row.label]),
    )
    report = write_retrieval_report(grown.trained, store, "badge", OPTIONS, tmp_path / "decoded", tmp_path / "out")
    assert report.novel_labels == 1
    assert "1 of the labels are not in the store's training split" in (tmp_path / "out/retrieval.md").read_text()
    assert report.retrieval.map_at_r is not None and report.retrieval.map_at_r.value > 0.9


def test_names_are_escaped(grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    report = write_retrieval_report(grown.trained, grown.store, "badge", None, grown.decoded, tmp_path)
    markdown = replace(report, source="<b>|</b>").table().markdown()
    assert "<b>" not in markdown and "&lt;b&gt;&#124;" in markdown


@pytest.mark.parametrize(
    ("node", "asked", "message"),
    [
        ("nose", None, "the tree has no node 'nose'; it has: body"),
        ("spot", None, "the node 'spot' has no model: 5 training images of the label 'day' show it; 8 are needed; ask"),
        ("badge", replace(OPTIONS, ways=5), r"5-way 1-shot episodes .* there are 2 \(day \d, night \d\)"),
        ("badge", replace(OPTIONS, queries=5), r"2-way 5-shot episodes with 5 queries .* there are 0 \("),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_written(
    node: str, asked: EpisodeOptions | None, message: str, grown: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        write_retrieval_report(grown.trained, grown.store, node, asked, grown.decoded, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_store_without_images_for_the_node_is_refused(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", validation=1)
    with pytest.raises(InputError, match="has 1 validation images for the node 'root': 2 are needed"):
        write_retrieval_report(grown.trained, store, "root", None, tmp_path / "decoded", tmp_path / "out")
