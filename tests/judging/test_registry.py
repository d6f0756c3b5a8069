from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tasks.judging.attribution import PairBatch
from tasks.judging.registry import ATTRIBUTIONS
from tasks.metric.model import EmbeddingModel

every_method = pytest.mark.parametrize("name", ATTRIBUTIONS)
EDGE, LAYER = 32, "layer2"  # 8 x 8


@pytest.fixture(scope="module")
def pairs(make_pairs: Callable[..., PairBatch]) -> PairBatch:
    return make_pairs(3, EDGE)


@every_method
def test_maps_have_the_pictures_size_and_are_numbers(model: EmbeddingModel, pairs: PairBatch, name: str) -> None:
    got = ATTRIBUTIONS[name].attribute(model, pairs, LAYER)
    assert (got.shape, got.dtype, got.device.type) == ((3, EDGE, EDGE), torch.float32, "cpu")
    assert not got.requires_grad
    assert got.isfinite().all()
    assert (got.amax(dim=(1, 2)) > got.amin(dim=(1, 2))).any()


@every_method
def test_a_pair_s_map_does_not_depend_on_the_other_pairs(model: EmbeddingModel, pairs: PairBatch, name: str) -> None:
    together = ATTRIBUTIONS[name].attribute(model, pairs, LAYER)
    for i in range(3):
        one = slice(i, i + 1)
        alone = replace(pairs, query=pairs.query[one], support=pairs.support[one], label_maps=pairs.label_maps[one])
        got = ATTRIBUTIONS[name].attribute(model, alone, LAYER)[0]
        torch.testing.assert_close(got, together[i], rtol=0, atol=2e-3 * together[i].abs().max().item() + 1e-9)


def state_of(model: EmbeddingModel) -> dict[str, Tensor | bool | int]:
    """All that a method could change."""
    state: dict[str, Tensor | bool | int] = dict(model.state_dict())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        state |= {f"{name} gradient": parameter.grad, f"{name} learns": parameter.requires_grad}
    for name, module in model.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        state |= {f"{name} mode": module.training, f"{name} hooks": sum(map(len, hooks)), f"{name}": id(module)}
        state[f"{name} attributes"] = len(vars(module))
    return state


@every_method
def test_the_model_is_left_as_it_was(make_model: Callable[..., EmbeddingModel], pairs: PairBatch, name: str) -> None:
    own = make_model()
    own.trunk.stem.requires_grad_(False)
    own.trunk.layer3.register_forward_hook(lambda _module, _inputs, _output: None)
    for parameter in own.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    before = {key: value.clone() if isinstance(value, Tensor) else value for key, value in state_of(own).items()}
    random_state = torch.get_rng_state()
    ATTRIBUTIONS[name].attribute(own, pairs, LAYER)
    after = state_of(own)
    assert after.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]) if isinstance(value, Tensor) else value == after[key], key
    assert torch.equal(torch.get_rng_state(), random_state)


@every_method
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_may_ask_and_nothing_is_printed(
    model: EmbeddingModel,
    pairs: PairBatch,
    name: str,
    context: Callable[[], torch.no_grad],
    capfd: pytest.CaptureFixture[str],
) -> None:
    expected = ATTRIBUTIONS[name].attribute(model, pairs, LAYER)
    with context():
        copied = replace(pairs, query=pairs.query.clone(), support=pairs.support.clone())
        got = ATTRIBUTIONS[name].attribute(model, copied, LAYER)
        assert torch.is_grad_enabled() is False
    torch.testing.assert_close(got, expected)
    assert capfd.readouterr() == ("", "")


@every_method
def test_roles_matter_only_to_what_looks_at_the_pair(model: EmbeddingModel, pairs: PairBatch, name: str) -> None:
    other = replace(pairs, support=pairs.support.flip(0))
    one, two = (ATTRIBUTIONS[name].attribute(model, batch, LAYER) for batch in (pairs, other))
    blind = name in ("eigen-cam", "activation-sum", "centred-gaussian")
    assert torch.equal(one, two) == blind


@every_method
def test_models_without_an_embedder_and_frozen_ones_are_explained(
    make_model: Callable[..., EmbeddingModel], pairs: PairBatch, name: str
) -> None:
    pairs = replace(pairs, centre=torch.zeros(256))  # there are as many features
    own = make_model(embedder=False).requires_grad_(False)
    assert ATTRIBUTIONS[name].attribute(own, pairs, "layer4").isfinite().all()


@pytest.mark.parametrize(
    "name", [name for name in ATTRIBUTIONS if name not in ("occlusion", "segment-ablation", "centred-gaussian")]
)
def test_a_stage_that_is_not_there_is_named(model: EmbeddingModel, pairs: PairBatch, name: str) -> None:
    with pytest.raises(ValueError, match=r"the trunk has no stage 'layer9': one of stem\.0, .*layer4"):
        ATTRIBUTIONS[name].attribute(model, pairs, "layer9")


@every_method
def test_a_dead_model_s_maps_are_numbers_too(
    make_model: Callable[..., EmbeddingModel], pairs: PairBatch, name: str
) -> None:
    dead = make_model()
    with torch.no_grad():
        for parameter in dead.parameters():
            parameter.zero_()
    got = ATTRIBUTIONS[name].attribute(dead, pairs, LAYER)
    assert got.isfinite().all()


def test_names_titles_and_kinds() -> None:
    assert [name for name, method in ATTRIBUTIONS.items() if method.name != name] == []
    assert len({method.title for method in ATTRIBUTIONS.values()}) == len(ATTRIBUTIONS)
    kinds = {
        kind: [name for name, method in ATTRIBUTIONS.items() if getattr(method, kind)]
        for kind in ("given_masks", "gradient", "floor")
    }
    assert kinds == {
        "given_masks": ["segment-ablation"],
        "gradient": ["grad-cam-cosine", "grad-cam-dot", "grad-cam-plus-plus", "layer-cam"],
        "floor": ["activation-sum", "centred-gaussian", "random"],
    }
    # The table begins with SFAM and ends with what it has to beat.
    assert next(iter(ATTRIBUTIONS)) == "sfam"
    assert list(ATTRIBUTIONS)[-3:] == kinds["floor"]


def test_only_methods_that_are_given_the_masks_look_at_them(model: EmbeddingModel, pairs: PairBatch) -> None:
    other = replace(pairs, label_maps=pairs.label_maps.roll(5, dims=1))
    for name, method in ATTRIBUTIONS.items():
        one, two = (method.attribute(model, batch, LAYER) for batch in (pairs, other))
        assert torch.equal(one, two) != method.given_masks, name
