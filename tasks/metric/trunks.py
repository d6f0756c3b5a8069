"""Trunks: the convolutional part of any torchvision classification CNN, by name, or one of our own."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tasks.errors import InputError
from tasks.metric.resnet12 import resnet12
from tasks.metric.small_trunk import small_trunk

SMALL = "small"
EFFICIENTNET_LITE0 = "efficientnet_lite0"
RESNET12 = "resnet12"
OURS = (SMALL, EFFICIENTNET_LITE0, RESNET12)  # built here; no address to fetch weights from


def trunk_names() -> tuple[str, ...]:
    """Names that `build_trunk` knows."""
    # torchvision takes seconds to import, and the small trunk needs none of it.
    from tasks.metric.torchvision_trunks import torchvision_trunk_names  # noqa: PLC0415

    return (*OURS, *torchvision_trunk_names())


def build_trunk(name: str, weights: str = "none") -> nn.Sequential:
    """Build a trunk: a sequence of named stages from pictures [n, 3, h, w] to feature maps [n, c, h', w'].

    Args:
        name: one of `trunk_names()`.
        weights: "none" (random, from torch's current seed), "DEFAULT" (torchvision's published ones), or a local
            .safetensors or .pth file with a state dict of the whole model or of the trunk. A .pth file is read with
            `weights_only=True`: nothing in it is executed. `efficientnet_lite0` also takes its published state dict,
            and with any file the statistics of its BatchNorm stay in training.

    Raises:
        InputError: unknown name, or weights that cannot be had or do not fit.
    """
    if name in OURS and weights == "DEFAULT":
        raise InputError(f"the trunk {name!r} has no published weights to fetch: use weights none or a local file")
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    if name == SMALL:
        trunk = small_trunk()
    elif name == RESNET12:
        trunk = resnet12()
    elif name == EFFICIENTNET_LITE0:
        from tasks.metric.efficientnet_lite import (  # noqa: PLC0415 (as above)
            efficientnet_lite0,
            fix_statistics,
            from_published,
        )

        trunk, renamed = efficientnet_lite0(), from_published
        if weights != "none":
            fix_statistics(trunk)
    elif name in trunk_names():
        from tasks.metric.torchvision_trunks import torchvision_trunk  # noqa: PLC0415 (as above)

        trunk = torchvision_trunk(name, published=weights == "DEFAULT")
    else:
        raise InputError(f"unknown trunk {name!r}: one of {', '.join(trunk_names())}")
    if weights not in ("none", "DEFAULT"):
        _load_file(trunk, Path(weights), renamed)
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


def _load_file(trunk: nn.Sequential, path: Path, renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        missing, _ = trunk.load_state_dict(renamed(state), strict=False)
    except Exception as error:  # each reader has exceptions of its own; all mean that the file is not what was asked
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the weights {path} cannot be read: {reason}; give a state dict as .safetensors") from None
    if missing:
        raise InputError(
            f"the weights {path} do not fit the trunk: {len(missing)} tensors missing, such as {missing[0]}"
        )
