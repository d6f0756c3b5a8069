import os
import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from tasks.errors import InputError
from tasks.metric.trunks import EFFICIENTNET_LITE0, OURS, RESNET12, SMALL, build_trunk, flattened_stages, trunk_names

# How each family of torchvision goes from its feature maps to the classes, as in its own `forward`.
HEADS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "avgpool, fc": lambda model, maps: model.fc(model.avgpool(maps).flatten(1)),
    "avgpool, classifier": lambda model, maps: model.classifier(model.avgpool(maps).flatten(1)),
    "avgpool, maps' classifier": lambda model, maps: model.classifier(model.avgpool(maps)),
    "average, classifier": lambda model, maps: model.classifier(adaptive_avg_pool2d(maps, (1, 1)).flatten(1)),
    "average, fc": lambda model, maps: model.fc(maps.mean(dim=(2, 3))),
    "maps' classifier": lambda model, maps: model.classifier(maps).flatten(1),
}
FAMILIES = [
    ("alexnet", "avgpool, classifier", 64),
    ("convnext_tiny", "avgpool, maps' classifier", 32),
    ("densenet121", "average, classifier", 32),
    ("efficientnet_b0", "avgpool, classifier", 32),
    ("googlenet", "avgpool, fc", 32),
    ("inception_v3", "avgpool, fc", 75),
    ("mnasnet0_5", "average, classifier", 32),
    ("mobilenet_v2", "average, classifier", 32),
    ("mobilenet_v3_small", "avgpool, classifier", 32),
    ("regnet_y_400mf", "avgpool, fc", 32),
    ("resnet18", "avgpool, fc", 32),
    ("resnext50_32x4d", "avgpool, fc", 32),
    ("shufflenet_v2_x0_5", "average, fc", 32),
    ("squeezenet1_1", "maps' classifier", 32),
    ("vgg11_bn", "avgpool, classifier", 32),
]


def original(name: str, size: int, **options: bool) -> nn.Module:
    """torchvision's own model, its BatchNorm's statistics taken from a batch: at 0 and 1 signals fade to nothing."""
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.no_grad():
            model(torch.rand(4, 3, size, size))
    return model.eval()


def pictures(size: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def assert_near(got: Tensor, expected: Tensor, share: float = 1e-5) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=share * expected.abs().max().item())


@pytest.mark.parametrize(("name", "head", "size"), FAMILIES, ids=[name for name, _, _ in FAMILIES])
@torch.no_grad()
def test_with_the_original_s_head_a_trunk_gives_the_original_s_output(name: str, head: str, size: int) -> None:
    model = original(name, size)
    trunk = build_trunk(name).eval()
    missing, unexpected = trunk.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    assert {entry.split(".")[0] for entry in unexpected} <= {"fc", "classifier"}
    expected = model(pictures(size))
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.abs().max()  # else anything would equal it
    assert_near(HEADS[head](model, trunk(pictures(size))), expected)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@torch.no_grad()
def test_published_weights_that_want_other_colours_get_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # torchvision sets `transform_input` with the weights of these two, which were trained on pictures in -1..1.
    model = original(name, 75, transform_input=True)
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: model)
    trunk = build_trunk(name, "DEFAULT")
    assert_near(HEADS["avgpool, fc"](model, trunk(pictures(75))), model(pictures(75)), share=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_1", "inception_v3", *OURS])
@torch.no_grad()
def test_the_stages_one_after_the_other_are_the_trunk(name: str) -> None:
    trunk = build_trunk(name).eval()
    x = pictures(80)
    names = [stage for stage, _ in flattened_stages(trunk)]
    assert len(set(names)) == len(names)
    for _, stage in flattened_stages(trunk):
        x = stage(x)
    torch.testing.assert_close(x, trunk(pictures(80)))


def test_resnet_s_stages_are_its_blocks() -> None:
    names = [name for name, _ in flattened_stages(build_trunk("resnet18"))]
    blocks = [f"layer{layer}.{block}" for layer in (1, 2, 3, 4) for block in (0, 1)]
    assert names == ["conv1", "bn1", "relu", "maxpool", *blocks]


def test_the_names_are_all_of_torchvision_s_cnns_and_ours() -> None:
    names = trunk_names()
    every = torchvision.models.list_models(module=torchvision.models)
    transformers = {name for name in every if name.startswith(("vit_", "swin_", "maxvit"))}
    assert names[:3] == (SMALL, EFFICIENTNET_LITE0, RESNET12)
    assert sorted(names[3:]) == sorted(set(every) - transformers)


def test_random_weights_come_from_torch_s_seed() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return build_trunk(SMALL).state_dict()["stem.0.weight"]

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_an_unknown_trunk_is_refused_with_the_choices() -> None:
    with pytest.raises(
        InputError, match=r"unknown trunk 'vit_b_16': one of small, efficientnet_lite0, resnet12, alexnet, .*resnet18"
    ):
        build_trunk("vit_b_16")
    with pytest.raises(InputError, match=r"unknown trunk 'resnet81': did you mean resnet18 or .*\? one of small, "):
        build_trunk("resnet81")


@pytest.mark.parametrize("name", [name for name, trunk in OURS.items() if not trunk.package])
def test_most_of_ours_have_no_published_weights_to_fetch(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' has no published weights to fetch: use weights none or a local"):
        build_trunk(name, "DEFAULT")


@pytest.mark.parametrize("error", [URLError("no route\nto host"), RuntimeError("invalid hash value")])
def test_published_weights_that_cannot_be_had_are_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def get_model(name: str, weights: str) -> nn.Module:
        raise error

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    with pytest.raises(InputError, match=r"the published weights of resnet18 cannot be had \(.*give a local") as caught:
        build_trunk("resnet18", "DEFAULT")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file_of_the_whole_model_or_of_the_trunk(suffix: str, tmp_path: Path) -> None:
    model = original("squeezenet1_1", 32)
    whole = model.state_dict()
    of_trunk = {name: tensor for name, tensor in whole.items() if name.startswith("features")}
    for state in (whole, of_trunk):
        path = tmp_path / f"weights{suffix}"
        if suffix == ".pth":
            torch.save(state, path)
        else:
            save_file(state, path)
        loaded = build_trunk("squeezenet1_1", str(path)).state_dict()
        assert loaded.keys() == of_trunk.keys()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in of_trunk.items())


def test_a_file_for_the_small_trunk(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = build_trunk(SMALL).state_dict()
    save_file(state, tmp_path / "small.safetensors")
    loaded = build_trunk(SMALL, str(tmp_path / "small.safetensors")).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_nothing_in_a_pth_file_is_executed(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"conv1.weight": Payload(tmp_path / "made")}))
    with pytest.raises(InputError, match=r"weights\.pth cannot be read"):
        build_trunk("resnet18", str(path))
    torch.save({"conv1.weight": Payload(tmp_path / "made")}, path)
    with pytest.raises(InputError, match=r"weights\.pth cannot be read"):
        build_trunk("resnet18", str(path))
    assert not (tmp_path / "made").exists()


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = build_trunk(SMALL).state_dict()
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor for name, tensor in state.items() if not name.startswith("layer4")}, path)
    with pytest.raises(InputError, match=r"do not fit the trunk: \d+ tensors missing, such as layer4"):
        build_trunk(SMALL, str(path))
    save_file({**state, "stem.0.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"weights\.safetensors cannot be read: .*size mismatch"):
        build_trunk(SMALL, str(path))
    path.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=r"weights\.safetensors cannot be read: .*give a state dict as"):
        build_trunk(SMALL, str(path))
    for missing in (tmp_path / "not_there.pth", tmp_path / "not_there.safetensors", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            build_trunk(SMALL, str(missing))
