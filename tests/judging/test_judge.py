from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.explanation.sfam import explain_pairs, to_picture_size
from tasks.judging import judge as module
from tasks.judging.attribution import Attribution, PairBatch
from tasks.judging.avsl_attribution import avsl_attribution
from tasks.judging.curves import similarity_curves
from tasks.judging.judge import MEASURES, Estimate, Judged, Sanity, best_of, judge, judge_avsl, maps_of
from tasks.judging.localisation import energy_in_segment
from tasks.judging.similarity import avsl_scorer, cosine_scorer, mean_embedding
from tasks.metric.avsl_model import build_avsl
from tasks.metric.model import EmbeddingModel, ModelSpec, build_model


def method(name: str, attribute: object, **flags: bool) -> Attribution:
    marks = {"given_masks": False, "gradient": False, "floor": False, **flags}
    return Attribution(name=name, title=name.title(), attribute=attribute, **marks)  # type: ignore[arg-type]


def sfam(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    return to_picture_size(explain_pairs(model, pairs.query, pairs.support, layer).query, pairs.query.shape[-1])


def centre_map(model: EmbeddingModel, pairs: PairBatch, layer: str) -> Tensor:
    places = torch.linspace(-1, 1, pairs.query.shape[-1])
    one = torch.exp(-(places[:, None] ** 2) - places[None, :] ** 2)
    return one.expand(len(pairs.query), -1, -1).clone()


def made_pairs(n: int) -> tuple[EmbeddingModel, PairBatch, Tensor]:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (2, n, 3, 8, 8), dtype=np.uint8)
    query, support = torch.from_numpy(coarse.repeat(4, axis=3).repeat(4, axis=4))
    label_maps = torch.from_numpy(generator.integers(0, 3, (n, 32, 32), dtype=np.uint8))
    model = build_model(ModelSpec(trunk="small", embedding=6, seed=1))
    return model, PairBatch(query=query, support=support, label_maps=label_maps, seed=5), label_maps == 2


def test_every_method_is_measured_on_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SANITY_PAIRS", 2)
    model, pairs, segment = made_pairs(5)
    named: list[str] = []
    judged = judge(model, pairs, segment, "layer2", [method("sfam", sfam), method("centre", centre_map)], named.append)
    assert named == ["sfam", "centre"]
    for row, attribute in zip(judged, (sfam, centre_map), strict=True):
        maps = attribute(model, pairs, "layer2")
        assert list(row.values) == list(MEASURES)
        assert all(values.shape == (5,) for values in row.values.values())
        np.testing.assert_allclose(row.values["energy"], energy_in_segment(maps, segment), rtol=1e-3)
        areas = similarity_curves(cosine_scorer(model, pairs.support), pairs.query, maps, "deletion").area[:, 0]
        np.testing.assert_allclose(row.values["deletion"], areas, atol=5e-3)
    assert not judged[1].passes_sanity  # the same map whatever the weights
    assert all(np.isnan(row.values["deletion_centred"]).all() for row in judged)  # these pairs have no mean
    assert judged[1].sanity["top-down"].rank_correlation == pytest.approx([1.0] * 7)
    assert judged[0].sanity["bottom-up"].stages == tuple(reversed(judged[0].sanity["top-down"].stages))
    top_down = judged[0].sanity["top-down"].rank_correlation
    assert top_down[-1] is not None and top_down[-1] < 0.9


def test_with_a_mean_curves_about_it_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SANITY_PAIRS", 2)
    model, pairs, segment = made_pairs(3)
    centre = mean_embedding(model, torch.cat([pairs.query, pairs.support]))
    (row,) = judge(model, replace(pairs, centre=centre), segment, "layer2", [method("centre", centre_map)])
    scores = cosine_scorer(model, pairs.support, centre)
    for mode in ("insertion", "deletion"):
        expected = similarity_curves(scores, pairs.query, centre_map(model, pairs, "layer2"), mode).area  # type: ignore[arg-type]
        np.testing.assert_allclose(row.values[mode], expected[:, 0], atol=1e-2)
        np.testing.assert_allclose(row.values[f"{mode}_centred"], expected[:, 1], atol=1e-2)
        assert abs(expected[:, 0] - expected[:, 1]).max() > 0.03


def test_a_changed_model_s_maps_are_about_its_own_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SANITY_PAIRS", 2)
    model, pairs, segment = made_pairs(3)
    centres: list[Tensor | None] = []

    def attribute(model: EmbeddingModel, part: PairBatch, layer: str) -> Tensor:
        centres.append(part.centre)
        return centre_map(model, part, layer)

    given = torch.linspace(-0.2, 0.2, 6)
    judge(model, replace(pairs, centre=given), segment, "layer2", [method("x", attribute)])
    first, *others = [centre for centre in centres if centre is not None]
    assert len(centres) == 1 + 2 * (1 + 7)  # the maps, and in each direction the original and seven stages
    assert torch.equal(first, given)
    pictures = torch.cat([pairs.query[:2], pairs.support[:2]])
    torch.testing.assert_close(others[0], mean_embedding(model, pictures))
    assert not torch.allclose(others[7], others[0], rtol=0.1)


def test_batches_get_their_own_pairs_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    model, pairs, _ = made_pairs(5)
    seen = []

    def attribute(model: EmbeddingModel, part: PairBatch, layer: str) -> Tensor:
        seen.append((len(part.query), part.seed, layer))
        assert torch.equal(part.label_maps, pairs.label_maps[part.seed - 5 :][: len(part.query)])
        return (part.query[:, 0].float() - part.support[:, 0].float()).abs()

    maps = maps_of(method("x", attribute), model, pairs, "stem.0")
    assert seen == [(2, 5, "stem.0"), (2, 7, "stem.0"), (1, 9, "stem.0")]
    assert torch.equal(maps, (pairs.query[:, 0].float() - pairs.support[:, 0].float()).abs())


def judged_of(name: str, **values: list[float]) -> Judged:
    empty = {measure: np.full(3, np.nan) for measure in MEASURES}
    own = {measure: np.array(figures) for measure, figures in values.items()}
    sanity = Sanity(stages=("all",), rank_correlation=(0.1,), structural_similarity=(0.2,))
    return Judged(method=method(name, sfam), values={**empty, **own}, sanity={"top-down": sanity})


def test_better_is_positive_in_either_direction() -> None:
    one = judged_of("one", deletion=[0.1, 0.2, np.nan], insertion=[0.9, 0.7, 0.5])
    other = judged_of("other", deletion=[0.3, 0.5, 0.1], insertion=[0.5, 0.6, 0.7])
    difference = one.better_than(other, "deletion")
    assert difference is not None
    assert (difference.value, difference.n) == (pytest.approx(0.25), 2)
    insertion = one.better_than(other, "insertion")
    assert insertion is not None
    assert insertion.value == pytest.approx((0.4 + 0.1 - 0.2) / 3)
    assert insertion.is_tie
    assert one.better_than(other, "drop") is None
    assert one.estimate("drop") is None
    assert best_of([other, one], "deletion") is one
    assert best_of([other, one], "insertion") is one
    assert best_of([other, one], "drop") is None


def test_an_estimate_leaves_out_what_is_not_defined() -> None:
    found = Estimate.of(np.array([1.0, np.nan, 0.0, 0.5]))
    assert found is not None
    assert (found.mean, found.n) == (0.5, 3)
    assert 0 <= found.interval[0] < 0.5 < found.interval[1] <= 1


@pytest.mark.parametrize(("last", "passes"), [(0.29, True), (-0.9, True), (0.3, False), (None, True)])
def test_a_map_fails_that_keeps_its_order_when_all_is_random(last: float | None, passes: bool) -> None:
    sanity = Sanity(stages=("a", "b"), rank_correlation=(0.9, last), structural_similarity=(0.9, 0.9))
    assert sanity.passes == passes


def test_avsl_is_judged_under_its_own_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SANITY_PAIRS", 2)
    _, pairs, segment = made_pairs(4)
    avsl = build_avsl(ModelSpec(trunk="small", embedding=6, seed=2), 2)
    row = judge_avsl(avsl, pairs, segment)
    assert row.method.name == "avsl"
    maps = avsl_attribution(avsl, pairs.query, pairs.support)
    np.testing.assert_allclose(row.values["energy"], energy_in_segment(maps, segment), rtol=1e-3)
    areas = similarity_curves(avsl_scorer(avsl, pairs.support), pairs.query, maps, "insertion").area[:, 0]
    np.testing.assert_allclose(row.values["insertion"], areas, atol=5e-3)
    assert row.sanity["top-down"].stages == ("embedder", "layer4", "layer3", "layer2", "layer1", "stem.1", "stem.0")
    assert row.sanity["top-down"].structural_similarity[-1] < 0.99
