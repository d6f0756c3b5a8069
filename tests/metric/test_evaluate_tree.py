from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.metric.evaluate_tree import NodeFigures, evaluate_tree
from tasks.metric.evaluation import Precision
from tasks.segments.pictures import decode_label_map, encode_label_map
from tasks.segments.shard_writer import write_shard
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments

# The drawings' classes under other ids.
OTHER_IDS = {0: 9, 1: 5, 2: 0, 3: 7}
OTHER_CLASSES = {9: "ground", 5: "body", 0: "badge", 7: "spot"}


def rewritten(store: SegmentStore, folder: Path, change: Callable[[Row], Row], classes: dict[int, str]) -> SegmentStore:
    for split in ("train", "validation"):
        rows = [change(row) for row in store.iterate(split)]
        write_shard(folder, split, rows, source="other", classes=classes, key="k", part=0, parts=1)
    return open_store(folder)


def renumbered(row: Row) -> Row:
    label_map = np.vectorize(OTHER_IDS.get)(decode_label_map(row.mask, "mask")).astype(np.uint8)
    return replace(row, mask=encode_label_map(label_map), segments=describe_segments(label_map, OTHER_CLASSES))


def own(figures: dict[str, NodeFigures]) -> dict[str, Precision]:
    return {name: found.own for name, found in figures.items()}


def test_on_its_own_store_a_tree_has_the_figures_of_its_training(grown: Any) -> None:
    figures = dict(evaluate_tree(grown.trained, grown.store, grown.decoded))
    assert list(figures) == [node.name for node in grown.tree.nodes]
    assert own(figures) == {name: result.precision for name, result in grown.results.items()}
    assert figures["spot"] == NodeFigures(own=Precision.none(4), composed=None)
    composed = {name: found.composed for name, found in figures.items() if found.composed}
    assert composed == {name: decision.composed for name, decision in grown.decisions.nodes.items()}
    assert set(composed) == {"figure", "root"}


def test_classes_are_matched_by_name(grown: Any, tmp_path: Path) -> None:
    store = rewritten(grown.store, tmp_path / "store", renumbered, OTHER_CLASSES)
    figures = dict(evaluate_tree(grown.trained, store, tmp_path / "decoded"))
    assert own(figures) == {name: result.precision for name, result in grown.results.items()}


def test_the_validation_split_alone_is_evaluated(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", train=4, validation=10)
    figures = dict(evaluate_tree(grown.trained, store, tmp_path / "decoded"))
    assert {name: precision.n for name, precision in own(figures).items()} == {
        "body": 10,
        "badge": 10,
        "figure": 10,
        "spot": 4,
        "root": 10,
    }
    at_1 = figures["badge"].own.at[1]
    assert at_1 is not None and at_1 > 0.9


def test_labels_that_training_never_saw_are_told_apart_too(grown: Any, tmp_path: Path) -> None:
    names = {"day": "noon", "night": "midnight"}
    store = rewritten(
        grown.store, tmp_path / "store", lambda row: replace(row, label=names[row.label]), grown.store.classes
    )
    figures = dict(evaluate_tree(grown.trained, store, tmp_path / "decoded"))
    assert figures["root"].own == grown.results["root"].precision


def test_a_part_that_no_image_has_has_no_figures(grown: Any, tmp_path: Path) -> None:
    def without_badge(row: Row) -> Row:
        label_map = decode_label_map(row.mask, "mask")
        label_map = np.where(label_map == 2, 1, label_map).astype(np.uint8)
        return replace(row, mask=encode_label_map(label_map))

    store = rewritten(grown.store, tmp_path / "store", without_badge, grown.store.classes)
    assert dict(evaluate_tree(grown.trained, store, tmp_path / "decoded"))["badge"].own == Precision.none(0)


def test_a_store_without_a_class_of_the_tree_is_refused(grown: Any, tmp_path: Path) -> None:
    classes = {0: "ground", 1: "body", 2: "badge", 3: "dot"}
    store = rewritten(grown.store, tmp_path / "store", lambda row: row, classes)
    with pytest.raises(InputError, match=r"leaf 'spot' names the segment 'spot', which the store does not have"):
        list(evaluate_tree(grown.trained, store, tmp_path / "decoded"))


def test_a_store_without_validation_images_is_refused(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", validation=0)
    with pytest.raises(InputError, match=r"has no validation images: prepare it with --val above 0"):
        list(evaluate_tree(grown.trained, store, tmp_path / "decoded"))


def test_a_damaged_checkpoint_is_named(grown: Any, tmp_path: Path) -> None:
    broken = replace(grown.trained, path=tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        list(evaluate_tree(broken, grown.store, grown.decoded))
