from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.explanation.tree_report import tree_report
from tasks.segments.provenance import Provenance
from tasks.segments.store import Row, SegmentStore

COPY = Provenance(kind="copy", segment="", receiver="train-000", donor="train-000", seed=0, held_out=False)
SAMPLE = replace(COPY, kind="same-label", segment="badge", donor="train-002")


def notes(grown: Any, store: SegmentStore, decoded: Path) -> tuple[str, ...]:
    report = tree_report(
        grown.tree, store, grown.options, grown.results, grown.decisions, {}, (), None, decoded
    )  # fmt: skip
    return report.notes


def test_how_many_images_are_synthetic_is_said_where_some_are(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    def change(row: Row) -> Row:
        made = dict.fromkeys(("train-002", "train-030", "train-031"), SAMPLE) | {"train-033": COPY}
        return replace(row, provenance=made.get(row.image_id))

    made = make_store(tmp_path / "store", change=change)
    before, after = notes(grown, grown.store, grown.decoded), notes(grown, made, tmp_path / "decoded")
    assert set(after) - set(before) == {"3 of the 40 training images are synthetic; all others are photos."}
    assert not any("synthetic" in note for note in before)
