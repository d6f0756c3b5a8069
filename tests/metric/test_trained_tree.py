import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.errors import InputError
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.evaluation import Precision
from tasks.metric.model import embed
from tasks.metric.trained_tree import open_trained_tree
from tasks.metric.training_data import training_data


def edit(folder: Path, **fields: object) -> None:
    path = folder / "tree.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **fields}), encoding="utf-8")


def test_a_trained_tree_comes_back_as_it_was_written(grown: Any, folder: Path) -> None:
    trained = open_trained_tree(folder)
    assert (trained.path, trained.tree, trained.options) == (folder, grown.tree, grown.options)
    assert (trained.classes, trained.source) == (grown.store.classes, "drawings")
    assert trained.facts == {"additive": {"slope": 0.5}}
    assert trained.segmenter is None
    assert trained.own_distance == "squared_euclidean"
    assert list(trained.nodes) == [node.name for node in grown.tree.nodes]
    for name, node in trained.nodes.items():
        result = grown.results[name]
        assert (node.status, node.reason, node.sha256) == (result.status, result.reason, result.checkpoint_sha256)
        assert node.precision == result.precision
        assert (node.framing, node.size) == ("full", 32)
        decision = grown.decisions.nodes.get(name)
        assert node.composed == (decision and decision.composed)
    assert trained.weights == grown.decisions.weights
    assert set(trained.weights) == {"body", "badge"}
    assert trained.precision("root", "composed") == grown.decisions.nodes["root"].composed
    assert trained.precision("body", "composed") == trained.precision("body", "own")


def test_a_node_s_model_embeds_as_it_did_when_it_was_trained(grown: Any, folder: Path) -> None:
    trained = open_trained_tree(folder)
    view = training_data(grown.store, (2,), grown.options, grown.decoded).validation
    model = trained.model("badge")
    assert model is not None and not model.training
    expected = load_checkpoint(grown.results["badge"].embeddings)["validation"]
    assert torch.equal(embed(model, view.batches("cpu"), "cpu"), expected)
    assert trained.model("badge") is model  # loaded once


def test_a_degenerate_node_has_no_model(folder: Path) -> None:
    trained = open_trained_tree(folder)
    assert trained.model("spot") is None
    node = trained.nodes["spot"]
    assert (node.file, node.sha256, len(node.quantiles), node.precision) == (None, None, 0, Precision.none(4))


def test_the_device_is_chosen_where_the_tree_is_opened(folder: Path) -> None:
    assert open_trained_tree(folder, device="cuda").options.device == "cuda"
    assert open_trained_tree(folder).options.device == "cpu"


def test_the_folder_stands_alone_and_can_be_moved(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    assert not any(str(tmp_path) in path.read_text(encoding="utf-8") for path in tmp_path.glob("moved/*.json"))
    assert open_trained_tree(tmp_path / "moved").model("root") is not None


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_checkpoint_is_named(damage: str, folder: Path) -> None:
    trained = open_trained_tree(folder)
    file = trained.nodes["badge"].file
    assert file is not None
    data = (folder / file).read_bytes()
    (folder / file).unlink()
    if damage == "changed":
        (folder / file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match=rf"the checkpoint .*{file.split('/')[-1]} (is damaged|cannot be read)"):
        trained.model("badge")
    assert trained.model("body") is not None


def test_a_folder_without_a_tree_is_named(tmp_path: Path) -> None:
    message = r"is not a trained tree \(no tree\.json\): give the model folder of `heml train`"
    with pytest.raises(InputError, match=message):
        open_trained_tree(tmp_path)
    for text in ("nonsense", "[]", "{}", '"tree"', '{"version": 1}'):
        (tmp_path / "tree.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="trained tree"):
            open_trained_tree(tmp_path)


def test_a_tree_of_another_version_is_named(folder: Path) -> None:
    edit(folder, version=99)
    with pytest.raises(InputError, match=r"is a trained tree of version 99, this is version \d+: train again"):
        open_trained_tree(folder)
