from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.decision import DecisionChoice
from tasks.metric.trained_tree import open_trained_tree
from tasks.segments.store import open_store
from tests.metric.conftest import WriteTree


@pytest.mark.parametrize("combined_epochs", [None, 2])
def test_options_come_back_also_where_one_may_be_left_out(
    write_tree: WriteTree, grown: Any, tmp_path: Path, combined_epochs: int | None
) -> None:
    options = replace(grown.options, combined_epochs=combined_epochs)
    write_tree(tmp_path / "model", options=options)
    assert open_trained_tree(tmp_path / "model").options == options


def test_the_decision_is_the_asked_for_one_or_what_held_out_images_prefer(
    write_tree: WriteTree, grown: Any, tmp_path: Path
) -> None:
    asked: tuple[DecisionChoice, ...] = ("own", "composed")
    for choice in asked:
        write_tree(tmp_path / "model", choice)
        assert open_trained_tree(tmp_path / "model").decision == choice
    root = grown.decisions.nodes["root"]
    for own, composed, expected in ((0.5, 0.6, "composed"), (0.6, 0.5, "own"), (0.5, 0.5, "own")):
        nodes = {"root": replace(root, held_out_own=own, held_out_composed=composed)}
        write_tree(tmp_path / "model", decisions=replace(grown.decisions, nodes=nodes))
        assert open_trained_tree(tmp_path / "model").decision == expected
    write_tree(tmp_path / "model", "composed", decisions=replace(grown.decisions, nodes={}))
    assert open_trained_tree(tmp_path / "model").decision == "own"  # there is no other


def test_a_node_s_own_framing_and_size_are_kept(write_tree: WriteTree, grown: Any, tmp_path: Path) -> None:
    results = {**grown.results, "spot": replace(grown.results["spot"], framing="crop", size=48)}
    write_tree(tmp_path / "model", results=results)
    trained = open_trained_tree(tmp_path / "model")
    assert {name: (node.framing, node.size) for name, node in trained.nodes.items()} == {
        "body": ("full", 32),
        "badge": ("full", 32),
        "figure": ("full", 32),
        "spot": ("crop", 48),
        "root": ("full", 32),
    }
    assert trained.node_options("spot") == replace(grown.options, framing="crop", size=48)


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


def test_a_tree_that_was_there_is_replaced_whole(write_tree: WriteTree, folder: Path) -> None:
    (folder / "leftover").write_text("x", encoding="utf-8")
    write_tree(folder)
    assert not (folder / "leftover").exists()
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]
    assert open_trained_tree(folder).facts == {}


def test_what_is_no_tree_is_not_replaced(write_tree: WriteTree, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="would be replaced, and was not made by heml"):
        write_tree(tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine"]


def test_a_tree_that_cannot_take_its_place_leaves_the_one_before(
    write_tree: WriteTree, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, before = Path.rename, (folder / "tree.json").read_bytes()

    def refuse(path: Path, target: Path) -> Path:
        if target == folder and (path / "tree.json").read_bytes() != before:
            raise OSError(16, "Device or resource busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="busy"):
        write_tree(folder)
    assert (folder / "tree.json").read_bytes() == before
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


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


def test_files_that_cannot_be_linked_are_copied(
    write_tree: WriteTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", link)
    write_tree(tmp_path / "model")
    trained = open_trained_tree(tmp_path / "model")
    assert trained.model("figure") is not None
    file = trained.nodes["figure"].file
    assert file is not None
    assert (tmp_path / "model" / file).stat().st_nlink == 1


def test_the_store_s_segmenter_comes_along(write_tree: WriteTree, make_store: Any, tmp_path: Path) -> None:
    make_store(tmp_path / "store")
    (tmp_path / "store" / "segmenter").mkdir()
    (tmp_path / "store" / "segmenter" / "config.json").write_text("{}", encoding="utf-8")
    store = open_store(tmp_path / "store")
    write_tree(tmp_path / "model", store=store)
    segmenter = open_trained_tree(tmp_path / "model").segmenter
    assert segmenter == tmp_path / "model" / "segmenter"
    assert (segmenter / "config.json").read_text(encoding="utf-8") == "{}"


def test_a_missing_result_file_leaves_the_tree_that_was_there(write_tree: WriteTree, grown: Any, folder: Path) -> None:
    lost = {**grown.results, "root": replace(grown.results["root"], folder=str(folder / "nowhere"))}
    with pytest.raises((InputError, OSError)):
        write_tree(folder, results=lost)
    assert open_trained_tree(folder).model("root") is not None
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_a_missing_checkpoint_is_wrong_input(write_tree: WriteTree, grown: Any, folder: Path) -> None:
    lost = {**grown.results, "root": replace(grown.results["root"], folder=str(folder / "nowhere"))}
    with pytest.raises(InputError, match="cannot be read"):
        write_tree(folder, results=lost)
