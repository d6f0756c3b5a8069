from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tasks.explanation.feature_sfam import layer_features
from tasks.explanation.sfam import explain_pairs, features_and_embeddings
from tasks.judging.attribution import PairBatch
from tasks.judging.similar_features import (
    sfam,
    sfam_centred,
    sfam_centred_conserving,
    sfam_conserving,
    sfam_of_features,
)
from tasks.metric.model import EmbeddingModel, normalise

EDGE = 48


@pytest.fixture(scope="module")
def pairs(make_pairs: Callable[..., PairBatch]) -> PairBatch:
    return make_pairs(3, EDGE)


def at_size(maps: Tensor) -> Tensor:
    return interpolate(maps[:, None], (EDGE, EDGE), mode="bilinear", align_corners=False)[:, 0]


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_the_query_s_sfam_at_the_picture_s_size(model: EmbeddingModel, pairs: PairBatch, layer: str) -> None:
    expected = explain_pairs(model, pairs.query, pairs.support, layer).query
    torch.testing.assert_close(sfam(model, pairs, layer), at_size(expected))


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_scores_of_pooled_features_weigh_the_maps(model: EmbeddingModel, pairs: PairBatch, layer: str) -> None:
    query, support = (layer_features(model, part, layer).double().numpy() for part in (pairs.query, pairs.support))
    cosine, euclidean = [], []
    for own, other in zip(query, support, strict=True):
        q, s = own.mean(axis=(1, 2)), other.mean(axis=(1, 2))
        products = q * s / np.sqrt((q**2).sum() * (s**2).sum())
        near = np.exp(-((q - s) ** 2) / ((q - s) ** 2).mean())
        cosine.append(np.maximum(sum(weight * channel for weight, channel in zip(products, own, strict=True)), 0))
        euclidean.append(np.maximum(sum(weight * channel for weight, channel in zip(near, own, strict=True)), 0))
    for expected, got in (
        (cosine, sfam_of_features("cosine")(model, pairs, layer)),
        (euclidean, sfam_of_features("euclidean")(model, pairs, layer)),
    ):
        torch.testing.assert_close(got, at_size(torch.from_numpy(np.stack(expected)).float()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_about_the_mean_both_embeddings_are_taken_from_it(model: EmbeddingModel, pairs: PairBatch, layer: str) -> None:
    # The centred cosine, differentiated with the query's own length held fixed, by autograd from the pictures on.
    assert pairs.centre is not None
    features, embeddings = features_and_embeddings(model, pairs.query, layer)
    with torch.no_grad():
        support = model(normalise(pairs.support)) - pairs.centre
    own = embeddings - pairs.centre
    cosine = (own * support).sum(dim=1) / (own.detach().norm(dim=1) * support.norm(dim=1))
    gradients = torch.autograd.grad(cosine.sum(), features)[0]
    products = (features * gradients).detach()
    conserving = products.sum(dim=1) * products.shape[2] * products.shape[3]
    scores = products.sum(dim=(2, 3))
    maps = torch.einsum("nk,nkhw->nhw", scores, features.detach()).relu()
    torch.testing.assert_close(sfam_centred(model, pairs, layer), at_size(maps), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sfam_centred_conserving(model, pairs, layer), at_size(conserving), rtol=1e-4, atol=1e-5)
    plain = explain_pairs(model, pairs.query, pairs.support, layer).query_conserving
    torch.testing.assert_close(sfam_conserving(model, pairs, layer), at_size(plain))
    assert not torch.allclose(sfam(model, pairs, layer), sfam_centred(model, pairs, layer), rtol=1e-2)


def test_without_a_mean_there_is_no_map_about_it(model: EmbeddingModel, pairs: PairBatch) -> None:
    for attribute in (sfam_centred, sfam_centred_conserving):
        with pytest.raises(ValueError, match="needs pairs with a centre"):
            attribute(model, replace(pairs, centre=None), "layer4")
