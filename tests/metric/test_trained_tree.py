import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.decision import DecisionChoice
from tasks.metric.evaluation import Precision
from tasks.metric.model import embed
from tasks.metric.trained_tree import open_trained_tree, write_trained_tree
from tasks.metric.training_data import training_data
from tasks.segments.store import open_store


def write(grown: Any, folder: Path, choice: DecisionChoice = "auto", **changed: Any) -> None:
    given = {"tree": grown.tree, "store": grown.store, "options": grown.options, "results": grown.results}
    write_trained_tree(folder, **{**given, "decisions": grown.decisions, "facts": {}, **changed}, choice=choice)


@pytest.fixture
def folder(grown: Any, tmp_path: Path) -> Path:
    """A trained tree's folder that a test may change."""
    write(grown, tmp_path / "model", facts={"additive": {"slope": 0.5}})
    return tmp_path / "model"


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


@pytest.mark.parametrize("combined_epochs", [None, 2])
def test_options_come_back_also_where_one_may_be_left_out(
    grown: Any, tmp_path: Path, combined_epochs: int | None
) -> None:
    options = replace(grown.options, combined_epochs=combined_epochs)
    write(grown, tmp_path / "model", options=options)
    assert open_trained_tree(tmp_path / "model").options == options


def test_the_decision_is_the_asked_for_one_or_what_held_out_images_prefer(grown: Any, tmp_path: Path) -> None:
    asked: tuple[DecisionChoice, ...] = ("own", "composed")
    for choice in asked:
        write(grown, tmp_path / "model", choice)
        assert open_trained_tree(tmp_path / "model").decision == choice
    root = grown.decisions.nodes["root"]
    for own, composed, expected in ((0.5, 0.6, "composed"), (0.6, 0.5, "own"), (0.5, 0.5, "own")):
        nodes = {"root": replace(root, held_out_own=own, held_out_composed=composed)}
        write(grown, tmp_path / "model", decisions=replace(grown.decisions, nodes=nodes))
        assert open_trained_tree(tmp_path / "model").decision == expected
    write(grown, tmp_path / "model", "composed", decisions=replace(grown.decisions, nodes={}))
    assert open_trained_tree(tmp_path / "model").decision == "own"  # there is no other


def test_a_node_s_own_framing_and_size_are_kept(grown: Any, tmp_path: Path) -> None:
    results = {**grown.results, "spot": replace(grown.results["spot"], framing="crop", size=48)}
    write(grown, tmp_path / "model", results=results)
    trained = open_trained_tree(tmp_path / "model")
    assert {name: (node.framing, node.size) for name, node in trained.nodes.items()} == {
        "body": ("full", 32),
        "badge": ("full", 32),
        "figure": ("full", 32),
        "spot": ("crop", 48),
        "root": ("full", 32),
    }
    assert trained.node_options("spot") == replace(grown.options, framing="crop", size=48)


def test_a_node_s_model_embeds_as_it_did_when_it_was_trained(grown: Any, folder: Path) -> None:
    trained = open_trained_tree(folder)
    view = training_data(grown.store, (2,), grown.options, grown.decoded).validation
    model = trained.model("badge")
    assert model is not None and not model.training
    expected = load_checkpoint(grown.results["badge"].embeddings)["validation"]
    assert torch.equal(embed(model, view.batches("cpu"), "cpu"), expected)
    assert trained.model("badge") is model  # loaded once


def test_quantiles_are_those_of_the_validation_pairs(grown: Any, folder: Path) -> None:
    trained = open_trained_tree(folder)
    vectors = load_checkpoint(grown.results["badge"].embeddings)["validation"].double().numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [
        np.var(unit[i] - unit[j]) / 2 / (np.var(unit[i]) + np.var(unit[j])) for i in range(len(unit)) for j in range(i)
    ]
    assert trained.nodes["badge"].quantiles.dtype == np.float32
    np.testing.assert_allclose(
        trained.nodes["badge"].quantiles, np.quantile(pairs, np.linspace(0, 1, 1001)), rtol=1e-4, atol=1e-6
    )


def test_a_degenerate_node_has_no_model(folder: Path) -> None:
    trained = open_trained_tree(folder)
    assert trained.model("spot") is None
    node = trained.nodes["spot"]
    assert (node.file, node.sha256, len(node.quantiles), node.precision) == (None, None, 0, Precision.none(4))


def test_the_device_is_chosen_where_the_tree_is_opened(folder: Path) -> None:
    assert open_trained_tree(folder, device="cuda").options.device == "cuda"
    assert open_trained_tree(folder).options.device == "cpu"


def test_a_tree_that_was_there_is_replaced_whole(grown: Any, folder: Path) -> None:
    (folder / "leftover").write_text("x", encoding="utf-8")
    write(grown, folder)
    assert not (folder / "leftover").exists()
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]
    assert open_trained_tree(folder).facts == {}


def test_the_folder_stands_alone_and_can_be_moved(grown: Any, folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    assert not any(str(tmp_path) in path.read_text(encoding="utf-8") for path in tmp_path.glob("moved/*.json"))
    assert open_trained_tree(tmp_path / "moved").model("root") is not None


def test_training_a_node_again_does_not_reach_into_the_tree(grown: Any, folder: Path) -> None:
    # Files are linked where they can be: a new checkpoint has to be a new file, not the old one overwritten.
    result = grown.results["badge"]
    content = result.checkpoint.read_bytes()
    temporary = result.checkpoint.with_name("new")
    temporary.write_bytes(b"new")
    temporary.replace(result.checkpoint)
    try:
        assert open_trained_tree(folder).model("badge") is not None
    finally:
        result.checkpoint.write_bytes(content)


def test_files_that_cannot_be_linked_are_copied(grown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", link)
    write(grown, tmp_path / "model")
    trained = open_trained_tree(tmp_path / "model")
    assert trained.model("figure") is not None
    file = trained.nodes["figure"].file
    assert file is not None
    assert (tmp_path / "model" / file).stat().st_nlink == 1


def test_the_store_s_segmenter_comes_along(grown: Any, make_store: Any, tmp_path: Path) -> None:
    make_store(tmp_path / "store")
    (tmp_path / "store" / "segmenter").mkdir()
    (tmp_path / "store" / "segmenter" / "config.json").write_text("{}", encoding="utf-8")
    store = open_store(tmp_path / "store")
    write(grown, tmp_path / "model", store=store)
    segmenter = open_trained_tree(tmp_path / "model").segmenter
    assert segmenter == tmp_path / "model" / "segmenter"
    assert (segmenter / "config.json").read_text(encoding="utf-8") == "{}"


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


def test_a_missing_result_file_leaves_the_tree_that_was_there(grown: Any, folder: Path) -> None:
    lost = {**grown.results, "root": replace(grown.results["root"], folder=str(folder / "nowhere"))}
    with pytest.raises((InputError, OSError)):
        write(grown, folder, results=lost)
    assert open_trained_tree(folder).model("root") is not None
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_a_missing_checkpoint_is_wrong_input(grown: Any, folder: Path) -> None:
    lost = {**grown.results, "root": replace(grown.results["root"], folder=str(folder / "nowhere"))}
    with pytest.raises(InputError, match="cannot be read"):
        write(grown, folder, results=lost)


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
