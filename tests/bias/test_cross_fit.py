from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.bias import cross_fit as module
from tasks.bias.cross_fit import CrossFit, cross_fit, halves
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.model import embed, load_model
from tasks.metric.node_result import finished_result
from tasks.metric.subject import node_subject, shape_control
from tasks.segments.pictures import decode_label_map, encode_label_map
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row, describe_segments


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fits")


def fitted(grown: Any, leaf: str, folder: Path) -> CrossFit:
    found = cross_fit(node_subject(grown.tree[leaf], grown.store, grown.options), grown.store, grown.decoded, folder)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def badge(grown: Any, folder: Path) -> CrossFit:
    return fitted(grown, "badge", folder)


def test_every_label_is_cut_in_halves() -> None:
    labels = np.array([0] * 7 + [1] * 10 + [4])
    half = halves(labels, 3)
    assert Counter(zip(labels.tolist(), half.tolist(), strict=True)) == {
        (0, 0): 4, (0, 1): 3, (1, 0): 5, (1, 1): 5, (4, 0): 1
    }  # fmt: skip
    assert not np.array_equal(half, halves(labels, 4))
    assert np.array_equal(half, halves(labels, 3))


@pytest.mark.parametrize("leaf", ["badge", "body"])  # whose colour is the label; and says nothing, so answers vary
def test_each_photo_asks_a_model_of_the_other_half(grown: Any, tmp_path: Path, leaf: str) -> None:
    found = fitted(grown, leaf, tmp_path)
    data = node_subject(grown.tree[leaf], grown.store, grown.options).data(grown.store, grown.decoded)
    assert found.train_indices.tolist() == sorted([*data.train.indices.tolist(), *data.held_out.indices.tolist()])
    assert found.validation_indices.tolist() == data.validation.indices.tolist()
    half = halves(data.train.data.labels, grown.options.seed)
    train, validation = dict.fromkeys(found.train_indices.tolist(), -1.0), np.zeros(len(data.validation))
    (kept,) = tmp_path.iterdir()
    for number in (0, 1):
        model = load_model(grown.options.model, load_checkpoint(kept / str(number) / "best.safetensors"))

        def vectors(rows: list[int], split: str, model: Any = model) -> np.ndarray:
            view = replace(data.train if split == "train" else data.validation, indices=np.array(rows))
            return torch.nn.functional.normalize(embed(model, view.batches("cpu"), "cpu").double(), dim=1).numpy()

        learned = [row for row in found.train_indices.tolist() if half[row] == number]
        references = vectors(learned, "train")
        for split, labels in (("train", data.train.data.labels), ("validation", data.validation.data.labels)):
            rows = found.train_indices if split == "train" else found.validation_indices
            asked = [row for row in rows.tolist() if split == "validation" or half[row] != number]
            for place, (row, vector) in enumerate(zip(asked, vectors(asked, split), strict=True)):
                near = learned[int(((references - vector) ** 2).sum(axis=1).argmin())]
                share = float(data.train.data.labels[near] == labels[row])
                if split == "train":
                    train[row] = share
                else:
                    validation[place] += share / 2
    assert found.train.tolist() == list(train.values())
    assert found.validation.tolist() == validation.tolist()
    assert (found.train.mean() > 0.9) == (leaf == "badge")


def test_all_epochs_run_and_the_last_is_taken(grown: Any, folder: Path, badge: CrossFit) -> None:
    (kept,) = folder.iterdir()
    for number in (0, 1):
        result = finished_result(kept / str(number), kept.name)
        assert result is not None
        assert (result.epochs, result.best_epoch) == (grown.options.epochs, grown.options.epochs - 1)
        assert result.train_images == int((halves(_labels(grown), 0)[badge.train_indices] == number).sum())


def _labels(grown: Any) -> np.ndarray:
    names = grown.store.columns("train", ["label"])["label"]
    return np.unique(np.array(names), return_inverse=True)[1]


def test_what_is_done_is_taken(grown: Any, folder: Path, badge: CrossFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "train_node", lambda *_: pytest.fail("trained again"))
    subject = node_subject(grown.tree["badge"], grown.store, grown.options)
    again = cross_fit(subject, grown.store, grown.decoded, folder)
    assert again is not None
    for name, value in vars(badge).items():
        assert np.array_equal(getattr(again, name), value)


def test_what_cannot_be_trained_has_none(grown: Any, tmp_path: Path) -> None:
    for subject in (node_subject, shape_control):
        made = subject(grown.tree["spot"], grown.store, grown.options)
        assert cross_fit(made, grown.store, grown.decoded, tmp_path) is None


def test_a_part_that_no_validation_photo_shows(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    def change(row: Row) -> Row:
        if row.split == "train":
            return row
        label_map = decode_label_map(row.mask, "x").copy()
        label_map[label_map == 2] = 1
        return replace(row, mask=encode_label_map(label_map), segments=describe_segments(label_map, store_classes))

    store_classes = grown.store.classes
    store = make_store(tmp_path / "store", change=change)
    subject = node_subject(grown.tree["badge"], store, replace(grown.options, epochs=1))
    found = cross_fit(subject, store, tmp_path / "decoded", tmp_path / "fits")
    assert found is not None
    assert (len(found.train), len(found.validation)) == (36, 0)
