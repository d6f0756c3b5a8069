from collections.abc import Iterator

import pyarrow as pa
import pytest

from tasks.segments.label_functions import label_functions, presence_accuracy
from tasks.segments.store import SegmentStore, open_store


class Columns(SegmentStore):
    """A store of which only labels and segments are there."""

    def __init__(self, train: list[tuple[str, list[str]]], validation: list[tuple[str, list[str]]]) -> None:
        object.__setattr__(self, "splits", {"train": train, "validation": validation})

    def batches(self, split: str, columns: object) -> Iterator[pa.RecordBatch]:  # type: ignore[override]
        rows = self.splits[split]  # type: ignore[attr-defined]
        for part in (rows[:2], rows[2:]):
            yield pa.RecordBatch.from_pylist(
                [{"label": label, "segments": [{"name": name} for name in names]} for label, names in part],
                schema=pa.schema([("label", pa.string()), ("segments", pa.list_(pa.struct([("name", pa.string())])))]),
            )


def test_by_hand() -> None:
    # Of 4 women 3 wear a dress, of 2 men none; all have skin; a hat is worn by 1 woman and both men.
    store = Columns(
        [("woman", ["skin", "dress"]), ("woman", ["skin", "dress", "hat"]), ("man", ["skin", "hat"])],
        [("woman", ["skin", "dress"]), ("woman", ["skin"]), ("man", ["skin", "hat"])],
    )
    accuracy = presence_accuracy(store)
    assert accuracy == {
        "skin": pytest.approx((1 + 0) / 2),  # "present: man" gets all men right and no woman
        "dress": pytest.approx((3 / 4 + 2 / 2) / 2),
        "hat": pytest.approx((2 / 2 + 3 / 4) / 2),  # "present: man, absent: woman"
    }
    assert label_functions(store) == []


def test_a_store_is_scanned_once(store: SegmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[str] = []
    batches = SegmentStore.batches
    monkeypatch.setattr(
        SegmentStore, "batches", lambda self, split, columns: scanned.append(split) or batches(self, split, columns)
    )
    opened = open_store(store.path)
    assert label_functions(opened) == label_functions(opened) == []
    assert scanned == ["train", "validation"]
    label_functions(open_store(store.path))  # it may have been made anew in the meantime
    assert len(scanned) == 4


def test_the_label_that_is_a_function_of_a_segment_is_flagged_the_surest_first() -> None:
    days = [("day", ["sun", "sky"])] * 39 + [("day", ["sky", "sun", "lamp"])]
    nights = [("night", ["sky", "lamp"])] * 40
    store = Columns(days, nights)
    assert presence_accuracy(store) == {"sun": 1.0, "sky": 0.5, "lamp": pytest.approx((39 / 40 + 1) / 2)}
    assert label_functions(store) == ["sun", "lamp"]


def test_absence_that_gives_the_label_away_counts_too() -> None:
    store = Columns([("a", ["x"]), ("b", ["y"])], [("a", ["x"]), ("b", [])])
    assert presence_accuracy(store) == {"x": 1.0, "y": pytest.approx((1 / 2 + 1) / 2)}


def test_of_three_labels_presence_tells_two_at_most() -> None:
    store = Columns([("a", ["x"]), ("b", []), ("c", [])], [])
    assert presence_accuracy(store) == {"x": pytest.approx(2 / 3)}


def test_the_drawings_have_no_such_label(store: SegmentStore) -> None:
    accuracy = presence_accuracy(store)
    assert set(accuracy) == {"ground", "body", "badge", "spot"}
    assert accuracy == dict.fromkeys(accuracy, 0.5)  # both labels show every part equally often
    assert label_functions(store) == []
