from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.bias.decided import Decided, decide_all, decision_distance
from tasks.errors import InputError
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.composed import PartEmbeddings
from tasks.metric.trained_tree import TrainedTree


@pytest.fixture(scope="module", params=["own", "composed"])
def trained(request: pytest.FixtureRequest, grown: Any) -> TrainedTree:
    return replace(grown.trained, decision=request.param)


@pytest.fixture(scope="module")
def decided(trained: TrainedTree, grown: Any) -> Decided:
    return decide_all(trained, grown.store, grown.decoded)


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector.double() / vector.double().norm()


def test_distances_are_the_decision_s(trained: TrainedTree, decided: Decided, grown: Any) -> None:
    kept = {name: load_checkpoint(result.embeddings) for name, result in grown.results.items() if name != "spot"}
    n = len(decided.labels)
    expected = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            parts = trained.weights if trained.decision == "composed" else {"root": 1.0}
            for name, weight in parts.items():
                rows = {
                    int(index): unit(kept[name]["validation"][k])
                    for k, index in enumerate(kept[name]["validation_indices"])
                }
                nothing = torch.zeros(16, dtype=torch.float64)
                expected[i, j] += weight * (rows.get(i, nothing) - rows.get(j, nothing)).square().sum()
    torch.testing.assert_close(decided.distances, expected, atol=1e-6, rtol=1e-5)
    assert set(decided.nodes) == {"body", "badge", "figure", "root"}


def test_precision_is_that_of_the_training_s_report(trained: TrainedTree, decided: Decided, grown: Any) -> None:
    precision = trained.precision("root", trained.decision)
    for k in (1, 2, 8):
        assert decided.precision(k).mean() == pytest.approx(precision.at[k])


def test_the_nearest_photo_s_value_by_a_loop(decided: Decided) -> None:
    values = tuple("abc"[i % 3] for i in range(len(decided.labels)))
    found = decided.nearest(values)
    for i, row in enumerate(decided.distances.tolist()):
        others = {j: value for j, value in enumerate(row) if j != i}
        near = [j for j, value in others.items() if value == min(others.values())]
        for name in "abc":
            assert found[name][i] == pytest.approx(np.mean([values[j] == name for j in near]))


def test_another_photo_is_placed_by_its_own_embeddings(trained: TrainedTree, decided: Decided) -> None:
    # Photo 3 as if it were photo 5.
    queries = {}
    for name, part in decided.nodes.items():
        taken = part.embeddings[part.indices == 5]
        queries[name] = PartEmbeddings(embeddings=taken, indices=torch.tensor([3] * len(taken)))
    every = torch.arange(len(decided.labels))
    found = decision_distance(trained, queries, decided.nodes, torch.tensor([3]), every)
    torch.testing.assert_close(found[0], decided.distances[5], atol=1e-6, rtol=1e-5)


def test_a_root_without_a_model_decides_nothing(grown: Any) -> None:
    nodes = {**grown.trained.nodes, "root": replace(grown.trained.nodes["root"], file=None)}
    with pytest.raises(InputError, match=r"the root of .* has no model, so it decides nothing"):
        decide_all(replace(grown.trained, nodes=nodes), grown.store, grown.decoded)


def test_one_photo_cannot_be_judged(grown: Any, make_store: Any, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", validation=1)
    with pytest.raises(InputError, match=r"an audit needs two validation photos or more; .* has 1"):
        decide_all(grown.trained, store, tmp_path / "decoded")
