import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tasks.errors import InputError
from tasks.explanation.explain import SegmentedPhoto, explain_pair
from tasks.metric.checkpoint import file_sha256, load_checkpoint, read_metadata
from tasks.metric.evaluation import QUANTILES
from tasks.metric.kept_node import LARGEST_SIZE, parse_node
from tasks.metric.trained_tree import open_trained_tree
from tasks.metric.tree_writer import write_trained_tree
from tasks.segments.pictures import decode_image, decode_label_map


@pytest.fixture
def folder(grown: Any, tmp_path: Path) -> Path:
    """A trained tree's folder that a test may change."""
    given = (grown.tree, grown.store, grown.options, grown.results, grown.decisions)
    write_trained_tree(tmp_path / "model", *given, choice="auto", facts={"additive": None})
    return tmp_path / "model"


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "tree.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    edit(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


def node(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda fields: fields["nodes"]["badge"].update(values)


def test_a_node_comes_back(folder: Path) -> None:
    values = json.loads((folder / "tree.json").read_text(encoding="utf-8"))["nodes"]["badge"]
    found = parse_node(values)
    assert (found.file, found.size, found.status) == (values["file"], 32, "trained")
    assert found.quantiles.shape == (QUANTILES,)
    assert found.precision.at == {int(k): value for k, value in values["precision"]["at"].items()}


P_AT_K = {"at": {"1": 0.5, "2": None, "8": None}, "intervals": {"1": [0.1, 0.9], "2": None, "8": None}, "n": 3}
WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "climbs": node(file="../nodes/00.safetensors"),
    "climbs later": node(file="nodes/../../x.safetensors"),
    "is absolute": node(file="/etc/passwd"),
    "has NUL": node(file="nodes/\0"),
    "is a number": node(file=3),
    "is trained without a file": node(file=None),
    "has no digest": node(sha256=None),
    "has another digest": node(sha256="../x"),
    "has an unknown status": node(status="magic"),
    "has a number for a reason": node(reason=3),
    "is framed otherwise": node(framing="wide"),
    "has a huge size": node(size=LARGEST_SIZE + 1),
    "has a size that is a text": node(size="32"),
    "has no size": node(size=True),
    "weighs NaN": node(weight=float("nan")),
    "weighs more than all": node(weight=2.0),
    "has too few quantiles": node(quantiles=[0.0] * 10),
    "has quantiles in lists": node(quantiles=[[0.0]] * QUANTILES),
    "has quantiles without end": node(same_label_quantiles=[float("inf")] * QUANTILES),
    "has no precision": node(precision=None),
    "has a precision above 1": node(precision={**P_AT_K, "at": {"1": 2.0, "2": None, "8": None}}),
    "has other K": node(precision={**P_AT_K, "at": {"1": 0.5}}),
    "has half an interval": node(composed={**P_AT_K, "intervals": {"1": [0.1], "2": None, "8": None}}),
    "has a field too many": node(more=1),
    "is a list": lambda fields: fields["nodes"].update(badge=[]),
    "is missing": lambda fields: fields["nodes"].pop("badge"),
    "is of no tree": lambda fields: fields["nodes"].update(other=fields["nodes"]["badge"]),
}
WRONG_TREES: dict[str, Callable[[dict[str, Any]], object]] = {
    "nodes are a list": lambda fields: fields.update(nodes=[]),
    "a decision of its own": lambda fields: fields.update(decision="magic"),
    "facts are a list": lambda fields: fields.update(facts=[]),
    "classes are a list": lambda fields: fields.update(classes=["a"]),
    "a class with an escape": lambda fields: fields["classes"].update({"9": "\x1b[2J"}),
    "a class id above a byte": lambda fields: fields["classes"].update({"999": "x"}),
    "a data set without a name": lambda fields: fields.update(source=""),
    "a data set that is a number": lambda fields: fields.update(source=3),
    "a tree that is a text": lambda fields: fields.update(tree="root"),
    "a huge picture": lambda fields: fields["options"].update(size=10**6),
    "an embedding in words": lambda fields: fields["options"].update(embedding="16"),
    "an option of a list": lambda fields: fields["options"].update(trunk=["small"]),
    "an unknown option": lambda fields: fields["options"].update(more=1),
    "no options": lambda fields: fields.update(options=None),
    "quantiles in words": lambda fields: fields.update(composed_quantiles=["a"]),
}


@pytest.mark.parametrize("name", [*WRONG, *WRONG_TREES])
def test_what_no_tree_of_ours_says_is_refused(name: str, folder: Path) -> None:
    open_trained_tree(folder)
    change(folder, {**WRONG, **WRONG_TREES}[name])
    with pytest.raises(InputError) as raised:
        open_trained_tree(folder)
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)


def test_a_description_nested_without_end_is_refused(folder: Path) -> None:
    (folder / "tree.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match="is not a trained tree"):
        open_trained_tree(folder)


def test_a_checkpoint_that_is_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    file = folder / str(open_trained_tree(folder).nodes["badge"].file)
    file.rename(tmp_path / "outside.safetensors")
    file.symlink_to(tmp_path / "outside.safetensors")
    with pytest.raises(InputError, match="is a link that leads out of its folder"):
        open_trained_tree(folder).model("badge")


def test_an_embedding_that_no_checkpoint_has_is_refused_before_it_is_built(folder: Path) -> None:
    change(folder, lambda fields: fields["options"].update(embedding=10**12))  # would take 500 TB
    with pytest.raises(InputError, match="has no embeddings of 1000000000000: train again"):
        open_trained_tree(folder).model("badge")


def test_a_checkpoint_of_another_architecture_is_refused(folder: Path) -> None:
    change(folder, lambda fields: fields["options"].update(trunk="resnet18"))
    with pytest.raises(InputError, match="does not fit the tree's options"):
        open_trained_tree(folder).model("badge")


ADDITIVE = {"slope": 1.0, "intercept": 0.0, "r_squared": 0.5, "rank_correlation": 0.5, "pairs": 3}


@pytest.mark.parametrize("additive", [{"slope": 1.0}, [1, 2], "x", {"more": 1}, {**ADDITIVE, "r_squared": "x"}])
def test_an_additive_fit_that_is_none_is_named(additive: object, grown: Any, folder: Path) -> None:
    change(folder, lambda fields: fields["facts"].update(additive=additive))
    row = grown.store.at([0])[0]
    photo = SegmentedPhoto(image=decode_image(row.image, "a"), label_map=decode_label_map(row.mask, "a"), name="a")
    with pytest.raises(InputError, match="holds no additive fit that can be read: train again"):
        explain_pair(open_trained_tree(folder), photo, photo)


def written(path: Path, header: object, data: bytes = bytes(8)) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS = (
    [], 3, None, "x", {"a": 3}, {"a": {**TENSOR, "dtype": "F4"}}, {"a": {**TENSOR, "dtype": "PICKLE"}},
    {"a": {**TENSOR, "shape": [10**18]}}, {"a": {**TENSOR, "shape": [-2]}}, {"a": {**TENSOR, "shape": "x"}},
    {"a": {**TENSOR, "data_offsets": [0, 10**18]}}, {"a": {**TENSOR, "data_offsets": [8, 0]}},
    {"a": TENSOR, "__metadata__": {"progress": 3}}, {"a": TENSOR, "__metadata__": [1]},
    {"a": TENSOR, "__metadata__": "x"},
)  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_checkpoint_whose_header_is_none_is_named(header: object, tmp_path: Path) -> None:
    path = written(tmp_path / "x.safetensors", header)
    for read in (load_checkpoint, read_metadata):
        with pytest.raises(InputError, match=r"the checkpoint .*x\.safetensors cannot be read"):
            read(path)


def test_a_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(tmp_path / "x.safetensors")
    save_file({"a": torch.ones(2)}, tmp_path / "y.safetensors")
    assert load_checkpoint(tmp_path / "y.safetensors", file_sha256(tmp_path / "y.safetensors"))["a"].tolist() == [1, 1]
