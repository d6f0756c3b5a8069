import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.metric import search_index
from tasks.metric.composed import PartEmbeddings
from tasks.metric.embed_photo import embed_photo
from tasks.metric.nearest import search
from tasks.metric.part_index import index_folder
from tasks.metric.search_index import SearchIndex, open_search_index, search_decision
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.pictures import decode_image, decode_label_map, encode_label_map
from tasks.segments.shard_writer import write_shard
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments


@pytest.fixture
def copied(grown: Any, tmp_path: Path) -> SegmentStore:
    """The drawings in a folder of their own, with no index beside them."""
    shutil.copytree(grown.store.path, tmp_path / "store")
    return open_store(tmp_path / "store")


def rows_of(store: SegmentStore) -> list[Row]:
    return [*store.iterate("train"), *store.iterate("validation")]


def embedded(trained: TrainedTree, name: str, row: Row) -> list[float] | None:
    """An L2-normalised embedding; None without the part."""
    made, there = embed_photo(trained, name, decode_image(row.image, "x"), decode_label_map(row.mask, "x"))
    if made is None or not there:
        return None
    values = made.double().tolist()
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def squared(x: list[float], y: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def cosine(x: list[float], y: list[float]) -> float:
    return 1 - sum(a * b for a, b in zip(x, y, strict=True))


def snr(x: list[float], y: list[float]) -> float:
    return float(np.var(np.subtract(x, y)) / np.var(x))


def with_loss(trained: TrainedTree, loss: str) -> TrainedTree:
    return replace(trained, options=replace(trained.options, loss=loss))


def check(found: list[Any], expected: dict[int, float]) -> None:
    """The images are those expected, in the order of the expected distances but for rounding."""
    order = sorted(expected, key=lambda number: (expected[number], number))[: len(found)]
    for neighbour, number in zip(found, order, strict=True):
        assert neighbour.distance == pytest.approx(expected[number], rel=0.02, abs=1e-5)
        assert neighbour.distance == pytest.approx(expected[neighbour.number], rel=0.02, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "name", "measure"),
    [("triplet", "squared_euclidean", squared), ("ntxent", "cosine", cosine), ("snr", "snr", snr)],
)
def test_own_distances_are_those_of_a_naive_loop(
    grown: Any, copied: SegmentStore, loss: str, name: str, measure: Callable[[list[float], list[float]], float]
) -> None:
    trained, rows = with_loss(grown.trained, loss), rows_of(copied)
    given = embedded(trained, "badge", rows[41])
    assert given is not None
    others = {number: embedded(trained, "badge", row) for number, row in enumerate(rows)}
    expected = {number: measure(given, other) for number, other in others.items() if other is not None}
    index = open_search_index(trained, copied, "badge", "own", grown.decoded)
    assert index.distance == name
    found = search(index, index.query({"badge": torch.tensor(given)}), 20)
    assert len(found) == 20
    assert found[0].number == 41
    check(found, expected)
    # Images that no rounding can bring into another order are in the expected one.
    whole = search(index, index.query({"badge": torch.tensor(given)}), 1000)
    assert {number for number, _ in whole} == set(expected)
    assert len(expected) < 56


@pytest.mark.parametrize("node", ["figure", "root"])
@pytest.mark.parametrize("number", [41, 18])
def test_composed_distances_are_those_of_a_naive_loop(grown: Any, copied: SegmentStore, node: str, number: int) -> None:
    trained, rows = grown.trained, rows_of(copied)
    leaves = [leaf for leaf in ("body", "badge") if leaf in trained.tree[node].leaves]
    given = {leaf: embedded(trained, leaf, rows[number]) for leaf in leaves}
    assert (given["badge"] is None) == (number == 18)
    expected = {}
    for other, row in enumerate(rows):
        total = 0.0
        for leaf in leaves:
            x, y = given[leaf], embedded(trained, leaf, row)
            if (x is None) != (y is None):
                total += trained.weights[leaf]
            elif x is not None and y is not None:
                total += trained.weights[leaf] * squared(x, y)
        expected[other] = total
    index = open_search_index(trained, copied, node, "composed", grown.decoded)
    assert index.distance == "composed"
    query = index.query({leaf: None if x is None else torch.tensor(x) for leaf, x in given.items()})
    found = search(index, query, 100)
    assert len(found) == 56
    check(found, expected)


def test_blank_pictures_count_in_the_composed_distance_and_are_found_by_no_part_that_they_lack(
    grown: Any, copied: SegmentStore
) -> None:
    blank = replace(grown.trained, options=replace(grown.trained.options, absent="blank"))
    own = open_search_index(blank, copied, "badge", "own", grown.decoded)
    assert 18 not in own.numbers.tolist()
    assert 18 in own.parts["badge"].indices.tolist()
    composed = open_search_index(blank, copied, "figure", "composed", grown.decoded)
    vectors = composed.vectors(torch.tensor([18]))
    assert vectors.square().sum().item() == pytest.approx(1, abs=1e-6)  # no zero vector stands for the badge
    skipped = open_search_index(grown.trained, copied, "figure", "composed", grown.decoded)
    assert skipped.vectors(torch.tensor([18])).square().sum().item() == pytest.approx(
        grown.trained.weights["body"], abs=1e-6
    )


def test_classes_are_matched_by_name(grown: Any, copied: SegmentStore, tmp_path: Path) -> None:
    ids, classes = {0: 9, 1: 5, 2: 0, 3: 7}, {9: "ground", 5: "body", 0: "badge", 7: "spot"}

    def renumbered(row: Row) -> Row:
        label_map = np.vectorize(ids.get)(decode_label_map(row.mask, "x")).astype(np.uint8)
        return replace(row, mask=encode_label_map(label_map), segments=describe_segments(label_map, classes))

    for split in ("train", "validation"):
        rows = [renumbered(row) for row in copied.iterate(split)]
        write_shard(tmp_path / "other", split, rows, source="o", classes=classes, key="k", part=0, parts=1)
    own, other = (
        open_search_index(grown.trained, store, "badge", "own", grown.decoded)
        for store in (copied, open_store(tmp_path / "other"))
    )
    assert torch.equal(own.numbers, other.numbers)
    torch.testing.assert_close(own.vectors(own.numbers), other.vectors(other.numbers))


def test_a_store_without_a_class_of_the_tree_is_refused(grown: Any, copied: SegmentStore, tmp_path: Path) -> None:
    classes = {0: "ground", 1: "body", 2: "medal", 3: "spot"}
    for split in ("train", "validation"):
        rows = list(copied.iterate(split))
        write_shard(tmp_path / "other", split, rows, source="o", classes=classes, key="k", part=0, parts=1)
    with pytest.raises(InputError, match="'badge', which the store does not have"):
        open_search_index(grown.trained, open_store(tmp_path / "other"), "body", "own", grown.decoded)


def test_a_store_in_which_no_image_shows_the_part_is_refused(
    grown: Any, tmp_path: Path, make_store: Callable[..., SegmentStore]
) -> None:
    def without_badge(row: Row) -> Row:
        label_map = decode_label_map(row.mask, "x")
        label_map = np.where(label_map == 2, 1, label_map).astype(np.uint8)
        return replace(row, mask=encode_label_map(label_map))

    store = make_store(tmp_path / "store", train=4, validation=2, change=without_badge)
    with pytest.raises(InputError, match=r"no image of the store .* shows 'badge'"):
        open_search_index(grown.trained, store, "badge", "own", grown.decoded)


def test_which_decision_a_search_goes_by(grown: Any) -> None:
    for tree_s in ("own", "composed"):
        trained = replace(grown.trained, decision=tree_s)
        assert search_decision(trained, "root", "auto") == tree_s
        assert search_decision(trained, "figure", "auto") == tree_s
        assert search_decision(trained, "badge", "auto") == "own"
        for choice in ("own", "composed"):
            assert search_decision(trained, "root", choice) == choice
    with pytest.raises(InputError, match=r"'badge' has no composed decision \(it is a leaf\): use --decision own"):
        search_decision(grown.trained, "badge", "composed")
    bare = {**grown.trained.nodes, "figure": replace(grown.trained.nodes["figure"], composed=None)}
    with pytest.raises(InputError, match="none of its leaves is trained"):
        search_decision(replace(grown.trained, nodes=bare), "figure", "composed")


def test_unknown_and_degenerate_nodes_are_refused(grown: Any) -> None:
    with pytest.raises(InputError, match="no node 'beard'; it has: body, badge, figure, spot, root"):
        search_decision(grown.trained, "beard", "auto")
    for choice in ("auto", "own", "composed"):
        with pytest.raises(InputError, match=r"'spot' has no model .* degenerate: 5 training images .* 8 are needed"):
            search_decision(grown.trained, "spot", choice)


def made_index(distance: Any, rows: list[list[float]]) -> SearchIndex:
    numbers = torch.arange(len(rows))
    part = PartEmbeddings(embeddings=torch.tensor(rows), indices=numbers)
    return SearchIndex(parts={"x": part}, weights={"x": 1.0}, numbers=numbers, distance=distance)


def test_an_embedding_without_variance_has_no_snr_distance() -> None:
    index = made_index("snr", [[1.0, 0.0], [1.0, 1.0]])
    with pytest.raises(InputError, match="no variance"):
        index.query({"x": torch.tensor([2.0, 2.0])})
    # An image without variance is at a distance of 1 from any other: var(x - c) = var(x).
    query = index.query({"x": torch.tensor([0.0, 3.0])})
    assert index.distances(query, index.numbers).tolist() == pytest.approx([4, 1])


def test_beyond_the_threshold_faiss_proposes(grown: Any, copied: SegmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = open_search_index(grown.trained, copied, "body", "own", grown.decoded)
    assert exact.cells is None
    files = set(index_folder(copied).iterdir())
    monkeypatch.setattr(search_index, "EXACT_UP_TO", len(exact.numbers))
    assert open_search_index(grown.trained, copied, "body", "own", grown.decoded).cells is None
    monkeypatch.setattr(search_index, "EXACT_UP_TO", len(exact.numbers) - 1)
    monkeypatch.setattr("tasks.metric.cells.SEARCHED", 1.0)  # every cell, so that the answers must be the same
    for name, decision in (("body", "own"), ("figure", "composed")):
        proposed = open_search_index(grown.trained, copied, name, decision, grown.decoded)
        exact = replace(proposed, cells=None)
        assert proposed.cells is not None
        for number in (0, 18, 55):
            query = exact.vectors(torch.tensor([number]))[0]
            assert search(proposed, query, 12) == search(exact, query, 12)
    assert len(set(index_folder(copied).iterdir()) - files) == 6  # cells of both, and the badge's index
