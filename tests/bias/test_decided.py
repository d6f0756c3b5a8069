from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.bias.decided import Decided, decide_all, decision_vectors
from tasks.errors import InputError
from tasks.metric import precision
from tasks.metric.composed import PartEmbeddings
from tasks.metric.model import embed
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import split_view


@pytest.fixture(scope="module", params=["own", "composed"])
def trained(request: pytest.FixtureRequest, grown: Any) -> TrainedTree:
    return replace(grown.trained, decision=request.param)


@pytest.fixture(scope="module")
def decided(trained: TrainedTree, grown: Any) -> Decided:
    return decide_all(trained, grown.store, grown.decoded)


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector.double() / vector.double().norm()


def test_distances_are_the_decision_s(trained: TrainedTree, decided: Decided, grown: Any) -> None:
    nodes = {"body": (1,), "badge": (2,), "root": None}
    vectors: dict[str, dict[str, dict[int, torch.Tensor]]] = {}
    for name, class_ids in nodes.items():
        model = trained.model(name)
        assert model is not None
        vectors[name] = {}
        for split in ("validation", "train"):
            view = split_view(grown.store, split, class_ids, grown.options, grown.decoded)  # type: ignore[arg-type]
            made = embed(model, view.batches("cpu"), "cpu")
            vectors[name][split] = {int(i): unit(row) for i, row in zip(view.indices, made, strict=True)}
    parts = trained.weights if trained.decision == "composed" else {"root": 1.0}
    nothing = torch.zeros(16, dtype=torch.float64)
    expected = torch.zeros(16, 40, dtype=torch.float64)
    for i in range(16):
        for j in range(40):
            for name, weight in parts.items():
                pair = (vectors[name]["validation"].get(i, nothing), vectors[name]["train"].get(j, nothing))
                expected[i, j] += weight * (pair[0] - pair[1]).square().sum()
    torch.testing.assert_close(decided.distance(decided.vectors), expected, atol=1e-6, rtol=1e-5)
    assert set(decided.queries) == set(decided.references) == {"body", "badge", "figure", "root"}


@pytest.mark.parametrize("at_once", [1, 120, 1000])  # distances: one row, three rows, all rows of 40
def test_the_nearest_training_photo_s_value_by_a_loop(
    decided: Decided, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "DISTANCES_AT_ONCE", at_once)
    values = tuple("abc"[i % 3] for i in range(len(decided.reference_labels)))
    found = decided.nearest(values)
    right = []
    for i, row in enumerate(decided.distance(decided.vectors).tolist()):
        near = [j for j, value in enumerate(row) if value == min(row)]
        for name in "abc":
            assert found[name][i] == pytest.approx(np.mean([values[j] == name for j in near]))
        right.append(np.mean([decided.reference_labels[j] == decided.labels[i] for j in near]))
    assert decided.precision() == pytest.approx(np.array(right))
    assert np.mean(right) > 0.8


def test_a_label_that_training_lacks_is_never_right(decided: Decided) -> None:
    other = replace(decided, labels=("dusk", *decided.labels[1:]))
    assert other.precision()[0] == 0
    assert np.array_equal(other.precision()[1:], decided.precision()[1:])


def test_another_photo_is_placed_by_its_own_embeddings(trained: TrainedTree, decided: Decided) -> None:
    # Photo 3 as if it were photo 5.
    queries = {}
    for name, part in decided.queries.items():
        taken = part.embeddings[part.indices == 5]
        queries[name] = PartEmbeddings(embeddings=taken, indices=torch.tensor([3] * len(taken)))
    found = decision_vectors(trained, queries, decided.references, torch.tensor([3]))
    torch.testing.assert_close(found[0], decided.vectors[5], atol=1e-6, rtol=1e-5)


def test_a_root_without_a_model_decides_nothing(grown: Any) -> None:
    nodes = {**grown.trained.nodes, "root": replace(grown.trained.nodes["root"], file=None)}
    with pytest.raises(InputError, match=r"the root of .* has no model, so it decides nothing"):
        decide_all(replace(grown.trained, nodes=nodes), grown.store, grown.decoded)
