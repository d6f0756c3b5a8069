from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.metric import decision as decision_module
from tasks.metric.composed import PartEmbeddings, composed_distance, composed_precision, side_by_side
from tasks.metric.decision import NodeDecision, decide, label_numbers, node_embeddings
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.part_weights import learn_part_weights


def test_labels_are_numbered_in_the_store_s_order(grown: Any) -> None:
    # The drawings' labels alternate: day, night, ...
    assert label_numbers(grown.store, "train").tolist() == [0, 1] * 20
    assert label_numbers(grown.store, "validation").tolist() == [0, 1] * 8


def test_weights_are_learned_on_the_held_out_images(grown: Any) -> None:
    leaves = {name: node_embeddings(grown.results[name])[0] for name in ("body", "badge")}
    held_out = sorted(set(leaves["body"].indices.tolist()) | set(leaves["badge"].indices.tolist()))
    labels = label_numbers(grown.store, "train")[held_out]
    assert grown.decisions.weights == learn_part_weights(leaves, torch.tensor(held_out), labels).weights


def test_combined_nodes_have_both_decisions(grown: Any) -> None:
    assert set(grown.decisions.nodes) == {"figure", "root"}
    for name, decision in grown.decisions.nodes.items():
        held_out, validation = node_embeddings(grown.results[name])
        leaves = [node_embeddings(grown.results[leaf]) for leaf in ("body", "badge")]
        for number, (part, split) in enumerate(((held_out, "train"), (validation, "validation"))):
            below = dict(zip(("body", "badge"), (leaf[number] for leaf in leaves), strict=True))
            labels = label_numbers(grown.store, split)[part.indices]
            if split == "validation":
                assert decision.composed == composed_precision(below, grown.decisions.weights, part.indices, labels)
                continue
            assert decision.held_out_own == evaluate(part.embeddings, labels, "squared_euclidean").mean
            # Four held-out images, each judged by the weights of the fold that it was left out of.
            learned = learn_part_weights(below, part.indices, labels)
            hits = []
            for fold, weights in learned.folds:
                vectors = side_by_side(below, weights, part.indices)
                distances = composed_distance(vectors, vectors).fill_diagonal_(torch.inf)
                for i, image in enumerate(part.indices.tolist()):
                    if image in fold.tolist():
                        order = distances[i].argsort()
                        hits.append([(labels[order[:k]] == labels[i]).double().mean().item() for k in (1, 2)])
            assert len(hits) == 4
            assert decision.held_out_composed == pytest.approx(np.mean(hits))


def test_quantiles_are_those_of_the_root_s_composed_distance(grown: Any) -> None:
    leaves = {name: node_embeddings(grown.results[name])[1] for name in ("body", "badge")}
    vectors = side_by_side(leaves, grown.decisions.weights, torch.arange(16))
    distances = composed_distance(vectors, vectors).numpy()
    pairs = [distances[i, j] for i in range(16) for j in range(i)]
    expected = np.quantile(pairs, np.linspace(0, 1, 1001))
    np.testing.assert_allclose(grown.decisions.quantiles, expected, rtol=1e-5, atol=1e-7)


def test_where_presence_gives_the_label_away_the_root_s_own_model_decides(grown: Any) -> None:
    root = NodeDecision(composed=Precision.none(3), held_out_own=0.5, held_out_composed=0.9)
    decisions = replace(grown.decisions, nodes={"root": root})
    assert decisions.by_presence == ""
    assert decisions.chosen("root", "auto") == "composed"
    given_away = replace(decisions, by_presence="dress")
    assert (given_away.chosen("root", "auto"), given_away.chosen("root", "composed")) == ("own", "composed")


def test_a_leaf_whose_presence_is_the_label_is_found(grown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.metric.decision.label_functions", lambda store: ["ground", "badge"])
    decisions = decide(grown.tree, grown.store, grown.results, "squared_euclidean")
    assert decisions.by_presence == "badge"  # the ground is in no leaf


def test_a_degenerate_node_has_no_decision(grown: Any) -> None:
    def lost(*names: str) -> dict[str, Any]:
        return {**grown.results, **{name: replace(grown.results[name], status="degenerate") for name in names}}

    rootless = decide(grown.tree, grown.store, lost("root"), "squared_euclidean")
    assert set(rootless.nodes) == {"figure"}
    assert rootless.chosen("root", "composed") == "own"
    leafless = decide(grown.tree, grown.store, lost("body", "badge"), "squared_euclidean")
    assert (leafless.weights, leafless.nodes, len(leafless.quantiles)) == ({}, {}, 0)


@pytest.mark.parametrize(
    ("own", "composed", "expected"),
    [(0.5, 0.6, "composed"), (0.6, 0.5, "own"), (0.5, 0.5, "own"), (None, None, "own"), (None, 0.2, "composed")],
)
def test_held_out_images_prefer_the_higher_figure(own: float | None, composed: float | None, expected: str) -> None:
    decision = NodeDecision(composed=Precision.none(3), held_out_own=own, held_out_composed=composed)
    assert decision.preferred == expected


def test_the_composed_figure_is_of_weights_that_never_saw_the_image() -> None:
    # Fourteen parts of pure noise: learned and judged on the same images they would seem to say something.
    images, labels = torch.arange(60), torch.arange(60) % 2
    noise = {
        str(i): PartEmbeddings(
            embeddings=torch.from_numpy(np.random.default_rng(i).normal(size=(60, 8)).astype(np.float32)),
            indices=images,
        )
        for i in range(14)
    }
    learned = learn_part_weights(noise, images, labels)
    hits = []
    for fold, weights in learned.folds:
        vectors = side_by_side(noise, weights, images)
        distances = composed_distance(vectors, vectors).fill_diagonal_(torch.inf)
        for i in fold.tolist():
            order = distances[i].argsort()
            hits.append([(labels[order[:k]] == labels[i]).double().mean().item() for k in (1, 2, 8)])
    got = decision_module._cross_fitted(noise, learned, images, labels)
    assert got == pytest.approx(np.mean(hits))
    assert got != pytest.approx(composed_precision(noise, learned.weights, images, labels).mean, abs=1e-3)
