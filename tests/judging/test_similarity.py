from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tasks.judging import similarity as module
from tasks.judging.attribution import PairBatch
from tasks.judging.similarity import avsl_scorer, cosine_scorer
from tasks.metric.avsl_model import AVSLModel, build_avsl
from tasks.metric.avsl_similarity import distance_rows
from tasks.metric.model import EmbeddingModel, ModelSpec, normalise


@pytest.fixture(params=["all at once", "two at a time"])
def batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORWARD_BATCH", 256 if request.param == "all at once" else 2)


@pytest.mark.usefixtures("batches")
def test_each_query_is_compared_with_its_own_support(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.mixed_precision.native_bfloat16", lambda _device: False)
    pairs = make_pairs(5, 32)
    got = cosine_scorer(model, pairs.support)(normalise(pairs.query))
    assert got.shape == (5, 1)
    for i in range(5):
        with torch.no_grad():
            a, b = (model(normalise(part[i : i + 1]))[0].double() for part in (pairs.query, pairs.support))
        assert got[i, 0].item() == pytest.approx((a @ b / a.norm() / b.norm()).item(), abs=1e-4)


def test_about_the_mean_the_centre_is_taken_from_both(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.mixed_precision.native_bfloat16", lambda _device: False)
    pairs = make_pairs(3, 32)
    plain, got = cosine_scorer(model, pairs.support, pairs.centre)(normalise(pairs.query)).unbind(dim=1)
    torch.testing.assert_close(plain, cosine_scorer(model, pairs.support)(normalise(pairs.query))[:, 0])
    with torch.no_grad():
        a, b = (model(normalise(part)).double() - pairs.centre for part in (pairs.query, pairs.support))
    expected = [(x @ y / x.norm() / y.norm()).item() for x, y in zip(a, b, strict=True)]
    assert got.tolist() == pytest.approx(expected, abs=1e-4)


def avsl() -> AVSLModel:
    model = build_avsl(ModelSpec(trunk="small", embedding=6, seed=2), 2)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        model.similarity.links.copy_(torch.rand_like(model.similarity.links))
    return model


@pytest.mark.usefixtures("batches")
def test_avsl_s_similarity_is_1_less_half_its_distance(
    make_pairs: Callable[..., PairBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.mixed_precision.native_bfloat16", lambda _device: False)
    model, pairs = avsl(), make_pairs(5, 64)
    got = avsl_scorer(model, pairs.support)(normalise(pairs.query))

    def embedded(pictures: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            embeddings, certain, _ = model(normalise(pictures))
        return embeddings, certain

    with torch.no_grad():
        rows = distance_rows(model.similarity, *embedded(pairs.query), *embedded(pairs.support))
        distances = torch.cat(list(rows)).diagonal()
    torch.testing.assert_close(got[:, 0], 1 - distances / 2, rtol=1e-4, atol=1e-4)
    same = avsl_scorer(model, pairs.query)(normalise(pairs.query))
    torch.testing.assert_close(same, torch.ones(5, 1), rtol=1e-5, atol=1e-5)
