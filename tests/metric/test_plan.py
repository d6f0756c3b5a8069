from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tasks.metric.evaluation import Precision
from tasks.metric.node_result import NodeResult
from tasks.metric.plan import averaging_weights, finished_nodes, starting_weights, untrainable_leaves
from tasks.segments.store import SegmentStore
from tasks.segments.tree import parse_tree


def finished(grown: Any, description: dict[str, Any], **options: object) -> set[str]:
    tree = parse_tree(description)
    return set(finished_nodes(tree, grown.store, replace(grown.options, **options), grown.nodes))


TREE = {"tree": [["body", "badge"], "spot"], "names": {"figure": ["body", "badge"]}}


def test_a_second_run_finds_every_node(grown: Any) -> None:
    found = finished_nodes(grown.tree, grown.store, grown.options, grown.nodes)
    assert found == grown.results
    assert found["spot"].status == "degenerate"


def test_renamed_nodes_are_found_under_their_new_names(grown: Any) -> None:
    tree = parse_tree(
        {
            "tree": [["torso", "badge"], "spot"],
            "leaves": {"torso": ["body"]},
            "names": {"person": ["torso", "badge"], "all": ["person", "spot"]},
        }
    )
    found = finished_nodes(tree, grown.store, grown.options, grown.nodes)
    assert {name: result.node for name, result in found.items()} == {
        name: name for name in ("torso", "badge", "person", "spot", "all")
    }
    assert found["person"] == replace(grown.results["figure"], node="person")


def test_one_changed_leaf_leaves_its_ancestors_to_train(grown: Any) -> None:
    assert finished(grown, {**TREE, "tree": [["body", "badge"], "ground"]}) == {"body", "badge", "figure"}
    united = {"tree": [["body", "marks"], "ground"], "leaves": {"marks": ["badge", "spot"]}}
    assert finished(grown, united) == {"body"}
    wider = {"tree": [["body", "badge"], "rest"], "leaves": {"rest": ["spot", "ground"]}}
    assert finished(grown, wider) == {"body", "badge", "body+badge"}


def test_children_in_another_order_make_another_parent(grown: Any) -> None:
    assert finished(grown, {"tree": [["badge", "body"], "spot"]}) == {"body", "badge", "spot"}


def test_averaging_concerns_combined_nodes_only(grown: Any) -> None:
    assert finished(grown, TREE, averaging="area") == {"body", "badge", "spot"}


def test_another_seed_or_store_leaves_everything_to_train(
    grown: Any, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    assert finished(grown, TREE, seed=1) == set()
    other = make_store(tmp_path, train=38)
    assert finished_nodes(grown.tree, other, grown.options, grown.nodes) == {}


def test_nothing_is_finished_in_an_empty_folder(grown: Any, tmp_path: Path) -> None:
    assert finished_nodes(grown.tree, grown.store, grown.options, tmp_path / "none") == {}


def child(area: float, precision: float | None) -> NodeResult:
    return NodeResult(
        node="x",
        key="k",
        status="trained",
        reason="",
        folder="f",
        checkpoint_sha256="s",
        framing="full",
        size=32,
        precision=Precision.none(3),
        held_out_precision_at_1=precision,
        area=area,
        train_images=3,
        epochs=1,
        best_epoch=0,
        seconds=1.0,
        images_per_second=3.0,
        peak_memory=1,
        parameters=1,
    )


@pytest.mark.parametrize(
    ("averaging", "expected"), [("equal", [1, 1]), ("area", [0.125, 0.5]), ("precision", [0.75, 0.25])]
)
def test_children_are_weighed_by(averaging: Any, expected: list[float]) -> None:
    assert averaging_weights([child(0.125, 0.75), child(0.5, 0.25)], averaging) == expected


def test_without_figures_children_weigh_the_same() -> None:
    assert averaging_weights([child(0, None), child(0, None)], "precision") == [1, 1]
    assert averaging_weights([child(0, 0.0), child(0, 0.0)], "precision") == [1, 1]
    assert averaging_weights([child(0, None), child(0, 0.5)], "precision") == [0, 0.5]
    assert averaging_weights([child(0, 1.0), child(0, 1.0)], "area") == [1, 1]
    assert averaging_weights([child(0.25, 1.0)], "area") == [0.25]


def test_leaves_that_cannot_be_trained_are_known_before_training(grown: Any) -> None:
    few = "5 training images of the label 'day' show it; 8 are needed"
    for leaves, expected in (
        (["body", "spot"], {}),
        (["spot", "body"], {"spot": few}),
        (["spot", "none"], {"spot": few, "none": "0 training images of the label 'day' show it; 8 are needed"}),
    ):
        tree = parse_tree({"tree": leaves})
        assert untrainable_leaves(tree, grown.store, grown.options, grown.decoded) == expected


def test_a_combined_node_starts_from_its_trained_children_and_a_leaf_from_its_own(grown: Any) -> None:
    body, badge, spot = (grown.results[name] for name in ("body", "badge", "spot"))
    assert spot.status == "degenerate"
    start = starting_weights([body, badge, spot], replace(grown.options, averaging="area"))
    assert start is not None
    one, other = (load_file(result.checkpoint) for result in (body, badge))
    share = body.area / (body.area + badge.area)
    name = next(name for name, tensor in one.items() if tensor.is_floating_point())
    torch.testing.assert_close(start[name], share * one[name] + (1 - share) * other[name])
    assert starting_weights([], grown.options) is None
    assert starting_weights([spot], grown.options) is None
