from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tasks.explanation.prototype_sfam import explain_to_targets
from tasks.explanation.sfam import contributions, explain_pairs, explained_layer, features_and_embeddings
from tasks.metric.model import EmbeddingModel, embed
from tasks.metric.training_data import NodeView, split_view


@pytest.fixture
def view(grown: Any) -> NodeView:
    return split_view(grown.store, "validation", (2,), grown.options, grown.decoded)


@pytest.fixture
def model(grown: Any) -> EmbeddingModel:
    found: EmbeddingModel = grown.trained.model("badge")
    return found


def some(view: NodeView, *positions: int) -> Tensor:
    return view.pictures(np.array(positions), "cpu")


def test_against_another_picture_s_embedding_it_is_the_pair_s_map(model: EmbeddingModel, view: NodeView) -> None:
    a, b = some(view, 0, 1, 2), some(view, 3, 4, 5)
    pair = explain_pairs(model, a, b)
    assert pair.query.max() > 0
    torch.testing.assert_close(explain_to_targets(model, a, pair.embeddings[1], "cosine"), pair.query)
    # How long the target is does not matter: the scores are of a cosine.
    torch.testing.assert_close(explain_to_targets(model, b, 7 * pair.embeddings[0], "cosine"), pair.support)


def test_against_a_prototype_the_scores_go_as_the_mean_of_those_against_each(
    model: EmbeddingModel, view: NodeView
) -> None:
    query = some(view, 0)
    layer = explained_layer(model, query.shape[-1])
    directions = normalize(embed(model, [some(view, 3, 4, 5)], "cpu"), dim=1)
    prototype = directions.mean(dim=0, keepdim=True)
    with torch.enable_grad():
        features, embeddings = features_and_embeddings(model, query, layer)
        each = [
            contributions(*features_and_embeddings(model, query, layer), one[None].clone()).scores[0]
            for one in directions
        ]
    mean = torch.stack(each).mean(dim=0) / prototype.norm()
    expected = sum(mean[k] * features[0, k].detach() for k in range(features.shape[1]))
    assert isinstance(expected, Tensor) and len(embeddings) == 1
    torch.testing.assert_close(
        explain_to_targets(model, query, prototype, "cosine")[0], expected.clamp(min=0), rtol=1e-3, atol=1e-5
    )


def test_each_picture_needs_a_target(model: EmbeddingModel, view: NodeView) -> None:
    with pytest.raises(ValueError, match="each picture needs one target; got 2 pictures and 1 targets"):
        explain_to_targets(model, some(view, 0, 1), torch.ones(1, 16), "cosine")
