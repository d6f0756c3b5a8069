import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.metric import part_index
from tasks.metric.decision import node_embeddings
from tasks.metric.part_index import PartIndex, index_folder, open_part_indexes
from tasks.segments import decoded as decoding
from tasks.segments.pictures import decode_label_map
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row


@pytest.fixture
def copied(grown: Any, tmp_path: Path) -> SegmentStore:
    """The drawings in a folder of their own, with no index beside them."""
    shutil.copytree(grown.store.path, tmp_path / "store")
    return open_store(tmp_path / "store")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of `embed` took."""
    calls: list[int] = []
    embed = part_index.embed

    def counted(model: Any, batches: Any, device: str) -> torch.Tensor:
        made = embed(model, batches, device)
        calls.append(len(made))
        return made

    monkeypatch.setattr(part_index, "embed", counted)
    return calls


def opened(grown: Any, store: SegmentStore, name: str = "badge", trained: Any = None) -> PartIndex:
    return open_part_indexes(trained or grown.trained, store, [name], grown.decoded)[name]


def showing(store: SegmentStore, class_id: int) -> list[int]:
    rows = [*store.iterate("train"), *store.iterate("validation")]
    return [number for number, row in enumerate(rows) if (decode_label_map(row.mask, "x") == class_id).any()]


def test_an_index_holds_the_images_that_show_the_part_of_both_splits(grown: Any, copied: SegmentStore) -> None:
    index = opened(grown, copied)
    with_badge = showing(copied, 2)
    assert max(with_badge) > 40 and len(with_badge) < 56
    assert index.part.indices.tolist() == with_badge
    assert index.present.all()
    assert index.part.embeddings.dtype == torch.float32
    torch.testing.assert_close(index.part.embeddings.norm(dim=1), torch.ones(len(with_badge)))
    # The validation images' are those that the training kept.
    kept = torch.from_numpy(np.array(with_badge)) >= 40
    validation = node_embeddings(grown.results["badge"])[1]
    assert (index.part.indices[kept] - 40).tolist() == validation.indices.tolist()
    expected = torch.nn.functional.normalize(validation.embeddings, dim=1)
    torch.testing.assert_close(index.part.embeddings[kept], expected)


def test_the_second_time_nothing_is_embedded(grown: Any, copied: SegmentStore, embedded: list[int]) -> None:
    first = opened(grown, copied)
    assert sum(embedded) == len(showing(copied, 2))
    embedded.clear()
    second = opened(grown, open_store(copied.path))
    assert embedded == []
    assert torch.equal(first.part.embeddings, second.part.embeddings)
    assert torch.equal(first.part.indices, second.part.indices)


def test_the_index_lies_beside_the_store_which_stays_as_it_was(grown: Any, copied: SegmentStore) -> None:
    before, digest = sorted(copied.path.rglob("*")), copied.digest
    opened(grown, copied)
    assert index_folder(copied) == copied.path.with_name("store.index")
    assert {path.suffix for path in index_folder(copied).iterdir()} == {".safetensors", ".json"}
    assert sorted(copied.path.rglob("*")) == before
    assert open_store(copied.path).digest == digest


def other_weights(trained: Any) -> Any:
    """A badge node with the checkpoint of the body's."""
    other = trained.nodes["body"]
    changed = replace(trained.nodes["badge"], file=other.file, sha256=other.sha256)
    return replace(trained, nodes={**trained.nodes, "badge": changed})


CHANGES: dict[str, Callable[[Any], Any]] = {
    "checkpoint": other_weights,
    "framing": lambda t: replace(t, nodes={**t.nodes, "badge": replace(t.nodes["badge"], framing="crop")}),
    "size": lambda t: replace(t, nodes={**t.nodes, "badge": replace(t.nodes["badge"], size=16)}),
    "fill": lambda t: replace(t, options=replace(t.options, fill="mean")),
    "absent": lambda t: replace(t, options=replace(t.options, absent="blank")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_model_has_another_index(grown: Any, copied: SegmentStore, embedded: list[int], change: str) -> None:
    first = opened(grown, copied)
    embedded.clear()
    other = opened(grown, copied, trained=CHANGES[change](grown.trained))
    assert sum(embedded) >= len(showing(copied, 2))
    assert other.part.embeddings.shape != first.part.embeddings.shape or not torch.allclose(
        other.part.embeddings, first.part.embeddings
    )
    embedded.clear()
    assert torch.equal(opened(grown, copied).part.embeddings, first.part.embeddings)
    assert embedded == []


def test_changed_data_are_indexed_anew(
    grown: Any, tmp_path: Path, make_store: Callable[..., SegmentStore], embedded: list[int]
) -> None:
    def without_labels(row: Row) -> Row:
        return replace(row, image_id=f"x{row.image_id}")

    opened(grown, make_store(tmp_path / "store"))
    embedded.clear()
    changed = make_store(tmp_path / "store", change=without_labels)
    index = opened(grown, changed)
    assert sum(embedded) == len(index.part.indices) == len(showing(changed, 2))


def test_a_damaged_index_is_built_again(grown: Any, copied: SegmentStore, embedded: list[int]) -> None:
    first = opened(grown, copied)
    embedded.clear()
    path = next(index_folder(copied).glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    second = opened(grown, copied)
    assert sum(embedded) == len(first.part.indices)
    assert torch.equal(first.part.embeddings, second.part.embeddings)


def test_blank_pictures_are_embedded_where_the_tree_was_trained_on_them(grown: Any, copied: SegmentStore) -> None:
    blank = replace(grown.trained, options=replace(grown.trained.options, absent="blank"))
    index = opened(grown, copied, trained=blank)
    assert index.part.indices.tolist() == list(range(56))
    assert torch.nonzero(index.present)[:, 0].tolist() == showing(copied, 2)


def test_crops_of_all_sizes_are_decoded_in_one_pass(
    grown: Any, copied: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[str] = []
    write = decoding._write

    def counted(store: SegmentStore, split: Any, targets: Any) -> None:
        passes.append(split)
        write(store, split, targets)

    monkeypatch.setattr(decoding, "_write", counted)
    nodes = {name: replace(kept, framing="crop") for name, kept in grown.trained.nodes.items()}
    nodes["badge"] = replace(nodes["badge"], size=16)
    names = ["body", "badge"]
    together = open_part_indexes(replace(grown.trained, nodes=nodes), copied, names, tmp_path / "decoded")
    assert sorted(passes) == ["train", "validation"]
    assert list(together) == names


def test_a_store_without_validation_images_is_indexed(
    grown: Any, tmp_path: Path, make_store: Callable[..., SegmentStore]
) -> None:
    index = opened(grown, make_store(tmp_path / "store", train=6, validation=0), "root")
    assert index.part.indices.tolist() == list(range(6))


def test_a_degenerate_node_has_no_index(grown: Any, copied: SegmentStore) -> None:
    with pytest.raises(ValueError, match="a degenerate node has no index; got 'spot'"):
        opened(grown, copied, "spot")
