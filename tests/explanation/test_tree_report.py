from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tasks.explanation.report_record import TreeReport
from tasks.explanation.tree_report import tree_report
from tasks.segments.provenance import Provenance
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row

COPY = Provenance(kind="copy", segment="", receiver="train-000", donor="train-000", seed=0, held_out=False)
SAMPLE = replace(COPY, kind="same-label", segment="badge", donor="train-002")


def report_of(grown: Any, store: SegmentStore, decoded: Path) -> TreeReport:
    return tree_report(grown.tree, store, grown.options, grown.results, grown.decisions, {}, (), None, decoded)


def test_chance_is_that_of_a_random_validation_neighbour(grown: Any) -> None:
    labels = grown.store.labels
    chance = {
        split: fmean(mine == other for mine, other in permutations(labels[split], 2))
        for split in ("train", "validation")
    }
    report = report_of(grown, grown.store, grown.decoded)
    assert report.chance == pytest.approx(chance["validation"]) and chance["train"] != pytest.approx(report.chance)


def test_how_many_images_are_synthetic_is_said_where_some_are(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    def change(row: Row) -> Row:
        made = dict.fromkeys(("train-002", "train-030", "train-031"), SAMPLE) | {"train-033": COPY}
        return replace(row, provenance=made.get(row.image_id))

    made = make_store(tmp_path / "store", change=change)
    before = report_of(grown, grown.store, grown.decoded).notes
    after = report_of(grown, made, tmp_path / "decoded").notes
    assert set(after) - set(before) == {"3 of the 40 training images are synthetic; all others are photos."}
    assert not any("synthetic" in note for note in before)
