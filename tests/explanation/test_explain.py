from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.explanation.additive import AdditiveFit, fit_additive
from tasks.explanation.explain import SegmentedPhoto, explain_pair
from tasks.explanation.record import NodeExplanation, PairExplanation
from tasks.metric.decision import node_embeddings
from tasks.metric.model import normalise
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.framing import frame, resize_image, resize_label_map
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.store import SegmentStore

IDS = {"body": {1}, "badge": {2}, "figure": {1, 2}, "spot": {3}, "root": {0, 1, 2, 3}}


def photo(store: SegmentStore, number: int) -> SegmentedPhoto:
    """A validation drawing. Even ones are "day"; 0, 1, 8 and 9 have a spot; all have a badge."""
    row = list(store.iterate("validation"))[number]
    return SegmentedPhoto(
        image=decode_image(row.image, "x"),
        label_map=decode_label_map(row.mask, "x"),
        name=row.image_path,
        label=row.label,
    )


def without_badge(given: SegmentedPhoto) -> SegmentedPhoto:
    return replace(given, label_map=np.where(given.label_map == 2, 1, given.label_map).astype(np.uint8))


@pytest.fixture(scope="module")
def fit(grown: Any) -> AdditiveFit:
    kept = {name: node_embeddings(grown.results[name])[1] for name in ("body", "badge", "root")}
    root = kept.pop("root")
    made = fit_additive(kept, grown.trained.weights, root)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def trained(grown: Any, fit: AdditiveFit) -> TrainedTree:
    opened: TrainedTree = replace(grown.trained, facts={"additive": asdict(fit)})
    return opened


def node(explanation: PairExplanation, name: str) -> NodeExplanation:
    return next(found for found in explanation.nodes if found.name == name)


def composed_by_hand(given: SegmentedPhoto, name: str) -> np.ndarray:
    image, label_map = resize_image(given.image, 32), resize_label_map(given.label_map, 32)
    shown = np.isin(label_map, sorted(IDS[name]))
    return np.where(shown, image, 0).astype(np.uint8)


def embedded_by_hand(trained: TrainedTree, given: SegmentedPhoto, name: str) -> np.ndarray:
    model = trained.model(name)
    assert model is not None
    with torch.no_grad():
        embedded: Tensor = model(normalise(torch.from_numpy(composed_by_hand(given, name))[None]))[0]
    return (embedded / embedded.norm()).double().numpy()


def test_every_node_s_distances_are_those_of_its_pictures(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    explanation = explain_pair(trained, a, b)
    assert [found.name for found in explanation.nodes] == ["body", "badge", "figure", "spot", "root"]
    for name in ("body", "badge", "figure", "root"):
        found, place = node(explanation, name), trained.tree[name]
        x, y = embedded_by_hand(trained, a, name), embedded_by_hand(trained, b, name)
        assert found.snr_distance == pytest.approx(np.var(x - y) / np.var(x), rel=1e-3)
        bounded = np.var(x - y) / 2 / (np.var(x) + np.var(y))
        assert found.bounded_distance == pytest.approx(bounded, rel=1e-3)
        among = trained.nodes[name].same_label_quantiles
        assert found.same_label_percentile == pytest.approx(100 * (among <= bounded).mean(), abs=0.3)
        quantiles = trained.nodes[name].quantiles
        assert found.percentile == pytest.approx(100 * (quantiles <= bounded).mean(), abs=0.3)
        assert (found.segments, found.children, found.level) == (place.leaves, place.children, place.level)
        assert (found.status, found.present) == ("trained", (True, True))
        assert found.precision == grown.results[name].precision


def test_every_node_shows_its_pictures_and_both_maps(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    explanation = explain_pair(trained, a, b)
    for found in explanation.nodes:
        for given, picture in zip((a, b), found.composed, strict=True):
            np.testing.assert_array_equal(picture, composed_by_hand(given, found.name))
        if found.name == "spot":
            continue
        assert found.maps is not None and found.bias_share is not None
        for saliency in found.maps:
            assert (saliency.shape, saliency.dtype) == ((32, 32), np.float32)
            assert saliency.min() == 0
            assert saliency.max() in (0, 1)  # 0 where no channel speaks for the likeness
        assert np.isfinite(found.bias_share).all()
    root = explanation.root.maps
    assert root is not None
    assert max(saliency.max() for saliency in root) == 1


def test_the_pictures_are_filled_as_the_nodes_were_trained(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    filled = replace(trained, options=replace(trained.options, fill="mean"))
    picture = node(explain_pair(filled, a, b), "badge").composed[0]
    image, outside = resize_image(a.image, 32), resize_label_map(a.label_map, 32) != 2
    np.testing.assert_array_equal(picture[:, ~outside], image[:, ~outside])
    np.testing.assert_allclose(
        picture[:, outside].T, np.broadcast_to(image.mean((1, 2)), (outside.sum(), 3)), atol=0.51
    )


def test_crops_are_explained_as_the_nodes_were_trained(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    nodes = {name: replace(kept, framing="crop") for name, kept in trained.nodes.items()}
    cropped = explain_pair(replace(trained, nodes=nodes), a, b)
    whole = explain_pair(trained, a, b)
    for name in ("body", "badge", "figure"):
        class_ids = trained.tree[name].class_ids(trained.classes)
        for side, given in enumerate((a, b)):
            image, label_map = frame(given.image, given.label_map, class_ids, "crop", trained.options.size)
            kept = np.isin(label_map, class_ids)
            np.testing.assert_array_equal(node(cropped, name).composed[side], np.where(kept, image, 0))
            # What the node looked at holds all of its part.
            box, rows, columns = node(cropped, name).boxes[side], *np.nonzero(np.isin(given.label_map, class_ids))
            assert box is not None
            assert box.top < rows.min() and rows.max() < box.bottom - 1
            assert box.left < columns.min() and columns.max() < box.right - 1
        assert node(cropped, name).bounded_distance != node(whole, name).bounded_distance
        assert node(whole, name).boxes == (None, None)
    assert cropped.root.boxes == (None, None)
    np.testing.assert_array_equal(cropped.root.composed[0], whole.root.composed[0])
    assert cropped.root.bounded_distance == whole.root.bounded_distance


def test_the_photos_are_kept_as_they_came(grown: Any, trained: TrainedTree) -> None:
    wide = SegmentedPhoto(
        image=np.full((3, 20, 70), 90, dtype=np.uint8), label_map=np.full((20, 70), 1, dtype=np.uint8), name="<b>.jpg"
    )
    a = photo(grown.store, 0)
    explanation = explain_pair(trained, a, wide)
    np.testing.assert_array_equal(explanation.photos[0], a.image)
    assert explanation.photos[1].shape == (3, 20, 70)
    assert (explanation.names, explanation.labels) == (("000.png", "<b>.jpg"), ("day", None))
    assert explanation.root.name == "root"
    assert explanation.root.bounded_distance is not None


def test_the_distance_to_itself_is_0(grown: Any, trained: TrainedTree) -> None:
    a = photo(grown.store, 0)
    explanation = explain_pair(trained, a, a)
    for name in ("body", "badge", "figure", "root"):
        assert node(explanation, name).bounded_distance == pytest.approx(0, abs=1e-9)
        assert node(explanation, name).snr_distance == pytest.approx(0, abs=1e-9)


def test_the_part_that_differs_is_farther_apart_than_in_a_pair_of_one_label(grown: Any, trained: TrainedTree) -> None:
    day, other_day, night = (photo(grown.store, number) for number in (0, 2, 3))
    same = node(explain_pair(trained, day, other_day), "badge").bounded_distance
    different = node(explain_pair(trained, day, night), "badge").bounded_distance
    assert same is not None and different is not None
    assert same < different


def test_a_degenerate_node_has_no_distance(grown: Any, trained: TrainedTree) -> None:
    found = node(explain_pair(trained, photo(grown.store, 0), photo(grown.store, 1)), "spot")
    assert (found.status, found.present) == ("degenerate", (True, True))
    values = (found.snr_distance, found.bounded_distance, found.percentile, found.precision.at[1], found.maps)
    assert values == (None,) * 5
    assert found.bias_share is None


@pytest.mark.parametrize(("of_a", "of_b"), [(True, False), (False, True), (False, False)])
def test_a_part_that_is_absent_has_no_distance_of_its_own(
    of_a: bool, of_b: bool, grown: Any, trained: TrainedTree
) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    explanation = explain_pair(trained, a if of_a else without_badge(a), b if of_b else without_badge(b))
    found = node(explanation, "badge")
    assert found.present == (of_a, of_b)
    values = (found.snr_distance, found.bounded_distance, found.percentile, found.maps, found.bias_share)
    assert values == (None,) * 5
    assert found.precision.at[1] is not None
    assert [bool(picture.any()) for picture in found.composed] == [of_a, of_b]
    assert node(explanation, "figure").bounded_distance is not None
    assert explanation.additive is not None
    assert explanation.additive.terms["badge"] == trained.weights["badge"] * (of_a != of_b)


def squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum())


def test_the_additive_reading_is_the_sum_of_the_leaves(grown: Any, trained: TrainedTree, fit: AdditiveFit) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    reading = explain_pair(trained, a, b).additive
    assert reading is not None
    expected = {
        name: weight * squared(embedded_by_hand(trained, a, name), embedded_by_hand(trained, b, name))
        for name, weight in trained.weights.items()
    }
    assert set(expected) == {"body", "badge"}
    assert sum(reading.weights.values()) == pytest.approx(1)
    assert reading.terms == pytest.approx(expected, rel=1e-3)
    assert reading.total == pytest.approx(sum(expected.values()), rel=1e-3)
    root = squared(embedded_by_hand(trained, a, "root"), embedded_by_hand(trained, b, "root"))
    assert reading.root_distance == pytest.approx(root, rel=1e-3)
    predicted = fit.slope * sum(expected.values()) + fit.intercept
    assert reading.predicted_root_distance == pytest.approx(predicted, rel=1e-3)
    assert reading.residual == pytest.approx(root - predicted, rel=1e-2, abs=1e-4)
    assert (reading.r_squared, reading.rank_correlation, reading.pairs) == (
        fit.r_squared,
        fit.rank_correlation,
        fit.pairs,
    )


def test_blank_pictures_are_read_as_they_were_fitted(grown: Any, trained: TrainedTree) -> None:
    # With `absent: blank` a node learns the blank pictures too, and the line was fitted on their embeddings.
    blank = replace(trained, options=replace(trained.options, absent="blank"))
    a, b = photo(grown.store, 0), without_badge(photo(grown.store, 3))
    explanation = explain_pair(blank, a, b)
    found, reading = node(explanation, "badge"), explanation.additive
    x, y = embedded_by_hand(trained, a, "badge"), embedded_by_hand(trained, b, "badge")
    assert found.bounded_distance == pytest.approx(np.var(x - y) / 2 / (np.var(x) + np.var(y)), rel=1e-3)
    assert reading is not None
    assert reading.terms["badge"] == pytest.approx(trained.weights["badge"] * squared(x, y), rel=1e-3)


def test_without_a_fit_or_a_root_there_is_no_additive_reading(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    assert explain_pair(grown.trained, a, b).additive is None
    rootless = {**trained.nodes, "root": replace(trained.nodes["root"], file=None, status="degenerate")}
    assert explain_pair(replace(trained, nodes=rootless), a, b).additive is None


def test_every_combined_node_s_composed_distance_is_its_children_s_added_up(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), without_badge(photo(grown.store, 3))
    explanation = explain_pair(trained, a, b)
    body = trained.weights["body"] * squared(embedded_by_hand(trained, a, "body"), embedded_by_hand(trained, b, "body"))
    assert node(explanation, "body").composed_distance == pytest.approx(body, rel=1e-3)
    assert node(explanation, "badge").composed_distance == trained.weights["badge"]  # absent in one
    assert node(explanation, "spot").composed_distance is None  # degenerate: no term
    for name in ("figure", "root"):
        found = node(explanation, name)
        assert found.composed_distance == pytest.approx(body + trained.weights["badge"], rel=1e-3)
        assert found.composed_precision == grown.decisions.nodes[name].composed
    assert node(explanation, "body").composed_precision is None


def test_the_tree_s_decision_says_how_far_apart_the_photos_are(grown: Any, trained: TrainedTree) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    own = explain_pair(replace(trained, decision="own"), a, b)
    assert (own.distance, own.percentile) == (own.root.bounded_distance, own.root.percentile)
    composed = explain_pair(replace(trained, decision="composed"), a, b)
    assert composed.root.composed_distance is not None
    assert composed.distance == composed.root.composed_distance / 4
    closer = (trained.composed_quantiles <= composed.root.composed_distance).mean()
    assert composed.percentile == pytest.approx(100 * closer, abs=0.3)
    assert composed.root.bounded_distance == own.root.bounded_distance
    # Half of the validation pairs are below the typical distance, on the same scale as the pair's own.
    for explanation, quantiles in (
        (own, trained.nodes["root"].quantiles),
        (composed, [one / 4 for one in trained.composed_quantiles]),
    ):
        assert explanation.typical_distance == pytest.approx(sorted(quantiles)[len(quantiles) // 2])


def test_what_guessing_reaches_is_the_tree_s_own_fact(grown: Any, trained: TrainedTree) -> None:
    a = photo(grown.store, 0)
    assert explain_pair(trained, a, a).chance is None
    assert explain_pair(replace(trained, facts={"chance": 0.5}), a, a).chance == 0.5


@pytest.mark.parametrize("chance", ["x", [0.5], -0.1, 1.5, float("nan")])
def test_a_chance_that_is_none_is_named(grown: Any, trained: TrainedTree, chance: object) -> None:
    a = photo(grown.store, 0)
    with pytest.raises(InputError, match="holds no P@K by chance that can be read: train again"):
        explain_pair(replace(trained, facts={"chance": chance}), a, a)


@pytest.mark.parametrize("loss", ["triplet", "snr"])
def test_the_leaves_maps_add_up_to_the_composed_similarity(grown: Any, trained: TrainedTree, loss: str) -> None:
    a, b = photo(grown.store, 0), photo(grown.store, 3)
    of_loss = replace(trained, options=replace(trained.options, loss=loss))
    explanation = explain_pair(of_loss, a, b)
    assert explanation.composed_maps is not None
    expected = [0.0, 0.0]
    for name in ("body", "badge"):
        x, y = embedded_by_hand(trained, a, name), embedded_by_hand(trained, b, name)
        shares = node(explain_pair(trained, a, b), name).bias_share  # of the cosine
        assert shares is not None
        for side in (0, 1):
            expected[side] += trained.weights[name] * float(x @ y) * (1 - shares[side])
    for found, mean in zip(explanation.composed_maps, expected, strict=True):
        assert found.shape == (32, 32)
        assert found.mean() == pytest.approx(mean, rel=1e-3, abs=1e-4)
    both_absent = explain_pair(of_loss, without_badge(a), b).composed_maps
    assert both_absent is not None
    assert both_absent[0].mean() != pytest.approx(explanation.composed_maps[0].mean(), rel=1e-3)


def test_blank_pictures_of_both_photos_have_a_term_too(grown: Any, trained: TrainedTree) -> None:
    # Filled with each photo's own mean colour, two blank pictures differ, and the weights were learned on such.
    blank = replace(trained, options=replace(trained.options, absent="blank", fill="mean"))
    a, b = (without_badge(photo(grown.store, number)) for number in (0, 3))
    found = node(explain_pair(blank, a, b), "badge")
    assert found.present == (False, False)
    assert found.composed_distance is not None and found.composed_distance > 0
