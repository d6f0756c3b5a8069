from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.bias import carry as module
from tasks.bias.carry import carry_over
from tasks.metric.checkpoint import load_checkpoint
from tasks.segments.provenance import Provenance
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row


@pytest.mark.parametrize("name", ["badge", "root"])
def test_on_its_own_store_a_node_says_what_it_said(grown: Any, tmp_path: Path, name: str) -> None:
    found, first = carry_over(grown.trained, name, grown.store, grown.decoded, tmp_path), grown.results[name]
    assert found.precision == first.precision
    assert found.held_out_precision_at_1 == first.held_out_precision_at_1
    assert (found.framing, found.size, found.area) == (first.framing, first.size, first.area)
    kept, expected = load_checkpoint(found.embeddings), load_checkpoint(first.embeddings)
    assert kept.keys() == expected.keys()
    for tensor in kept:
        torch.testing.assert_close(kept[tensor], expected[tensor])
    for weight, value in load_checkpoint(first.checkpoint).items():
        assert torch.equal(load_checkpoint(found.checkpoint)[weight], value)
    assert (found.status, found.epochs, found.seconds) == ("trained", 0, 0.0)


def test_on_another_store_it_is_judged_by_that_store_s_held_out_rows(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    def change(row: Row) -> Row:
        number = int(row.image_id.split("-")[1])
        if row.split == "validation" or number < 40:
            return row
        made = Provenance(
            kind="copy", segment="", receiver=row.image_id, donor=row.image_id, seed=0, held_out=number % 2 == 0
        )
        return replace(row, provenance=made)

    store = make_store(tmp_path / "store", train=48, change=change)
    found = carry_over(grown.trained, "root", store, tmp_path / "decoded", tmp_path / "nodes")
    before = load_checkpoint(grown.results["root"].embeddings)["held_out_indices"].tolist()
    kept = load_checkpoint(found.embeddings)
    assert kept["held_out_indices"].tolist() == [40, 42, 44, 46]
    assert len(kept["held_out"]) == 4
    assert found.train_images == 48 - len(before) - 4


def test_a_node_without_a_model_stays_without(grown: Any, tmp_path: Path) -> None:
    found = carry_over(grown.trained, "spot", grown.store, grown.decoded, tmp_path)
    assert (found.status, found.checkpoint_sha256) == ("degenerate", None)
    assert found.reason == grown.results["spot"].reason
    assert found.precision.n == 4


def test_what_is_done_is_taken(grown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = carry_over(grown.trained, "badge", grown.store, grown.decoded, tmp_path)
    kept = Path(first.folder) / "result.json"
    kept.write_text(kept.read_text().replace('"node": "badge"', '"node": "emblem"'))  # before it was renamed
    monkeypatch.setattr(module, "training_data", lambda *_: pytest.fail("embedded again"))
    assert carry_over(grown.trained, "badge", grown.store, grown.decoded, tmp_path) == first
