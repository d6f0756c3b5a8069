from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.explanation import node_sheet as module
from tasks.explanation.node_sheet import fixed_pairs, sample_pictures, write_node_sheet
from tasks.explanation.sheet import CAPTION, TILE, TITLE, WIDTH, SheetRow
from tasks.metric.model import normalise
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import NodeView, node_view
from tasks.segments.decoded import DecodedSplit, decode


def view_of(labels: list[int], indices: list[int] | None = None) -> NodeView:
    n = len(labels)
    images = np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(16, 2).repeat(16, 3)
    data = DecodedSplit(
        images=images,
        label_maps=np.ones((n, 16, 16), dtype=np.uint8),
        present=np.tile(np.arange(256) == 1, (n, 1)),
        labels=np.array(labels, dtype=np.int64),
        label_names=("day", "night"),
        image_ids=tuple(f"photo {i}" for i in range(n)),
    )
    used = np.array(range(n) if indices is None else indices, dtype=np.int64)
    return NodeView(data=data, class_ids=None, fill="black", indices=used)


@pytest.mark.parametrize("seed", range(5))
def test_two_pairs_of_one_label_and_two_of_different_ones_each_image_once(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, 30).tolist()
    pairs = fixed_pairs(view_of(labels), seed)
    assert [labels[a] == labels[b] for a, b in pairs] == [True, True, False, False]
    assert set(Counter(position for pair in pairs for position in pair).values()) == {1}


def test_the_pairs_depend_on_the_seed_only() -> None:
    labels = [0, 1] * 20
    assert fixed_pairs(view_of(labels), 1) == fixed_pairs(view_of(labels), 1)
    assert fixed_pairs(view_of(labels), 1) != fixed_pairs(view_of(labels), 2)


def test_nodes_that_have_the_images_show_the_same_pairs() -> None:
    labels = [0, 1] * 20
    whole = view_of(labels)
    shown = {index for pair in fixed_pairs(whole, 0) for index in pair}
    part = view_of(labels, [index for index in range(40) if index in shown or index % 3])
    of_part = [tuple(part.indices[position] for position in pair) for pair in fixed_pairs(part, 0)]
    assert of_part == fixed_pairs(whole, 0)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([], []), ([0], []), ([0, 0], [True]), ([0, 1], [False]), ([0, 0, 1], [True]), ([0, 0, 0, 1], [True, False])],
)
def test_few_images_make_few_pairs(labels: list[int], expected: list[bool]) -> None:
    assert [labels[a] == labels[b] for a, b in fixed_pairs(view_of(labels), 0)] == expected


def test_positions_are_those_in_the_view() -> None:
    view = view_of([0, 0, 1, 1, 0, 1, 0, 1, 0, 1], [1, 3, 4, 7])
    assert all(0 <= position < 4 for pair in fixed_pairs(view, 0) for position in pair)


def test_a_sheet_shows_the_pairs_with_their_maps(grown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = node_view(decode(grown.store, "validation", 32, grown.decoded), (2,), "black", "skip")
    model = grown.trained.model("badge")
    sheets: list[list[SheetRow]] = []
    write_sheet = module.write_sheet

    def keep(title: str, rows: list[SheetRow], path: Path) -> None:
        assert title == "badge"
        sheets.append(rows)
        write_sheet(title, rows, path)

    monkeypatch.setattr(module, "write_sheet", keep)
    assert write_node_sheet("badge", model, view, TrainingOptions(), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.size) == ("PNG", (WIDTH, TITLE + 4 * (TILE + CAPTION)))
    for row, (a, b) in zip(sheets[0], fixed_pairs(view, 0), strict=True):
        ids, names = view.data.image_ids, view.data.label_names
        assert (row.name_a, row.name_b) == (ids[view.indices[a]], ids[view.indices[b]])
        assert (row.label_a, row.label_b) == (names[view.labels[a]], names[view.labels[b]])
        pictures = view.pictures(np.array([a, b]), "cpu")
        np.testing.assert_array_equal(row.picture_a, pictures[0])
        np.testing.assert_array_equal(row.picture_b, pictures[1])
        x, y = model(normalise(pictures)).detach().double().numpy()
        x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
        assert row.distance == pytest.approx(np.var(x - y) / 2 / (np.var(x) + np.var(y)), rel=1e-3)
        assert row.map_a.shape == row.map_b.shape == (32, 32)
        assert row.map_a.min() >= 0
        assert row.map_a.max() in (0, 1)
    assert any(row.map_a.max() == 1 for row in sheets[0])


def test_without_a_pair_no_sheet_is_written(grown: Any, tmp_path: Path) -> None:
    model = grown.trained.model("badge")
    assert not write_node_sheet("x", model, view_of([0]), TrainingOptions(), tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_samples_are_pictures_of_the_node() -> None:
    view = view_of([0, 1] * 10)
    samples = sample_pictures(view, 0)
    a, b = fixed_pairs(view, 0)[-1]
    assert [int(sample[0, 0, 0]) for sample in samples] == [a, b]  # a picture's grey is its number
    assert samples[0].shape == (3, 16, 16)
    assert sample_pictures(view_of([0]), 0) == []


def test_samples_show_the_node_s_segments_only() -> None:
    view = view_of([0, 1] * 4)
    view.data.images[:] = 200
    view.data.label_maps[:, :8] = 5
    for sample in sample_pictures(replace(view, class_ids=(5,)), 0):
        assert (sample[:, :8] == 200).all()
        assert (sample[:, 8:] == 0).all()
