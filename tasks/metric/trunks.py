"""Trunks: the convolutional part of any torchvision classification CNN, by name, or one of our own."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from tasks.errors import InputError
from tasks.metric.efficientnet_lite import EFFICIENTNET_LITE0, efficientnet_lite0, fix_statistics, from_published
from tasks.metric.input_scale import InputScale
from tasks.metric.small_trunk import small_trunk

# Families of torchvision.models whose feature maps end in global average pooling; the rest are transformers.
CNN_FAMILIES = (
    "alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception", "mnasnet", "mobilenet",
    "regnet", "resnet", "resnext", "shufflenet", "squeezenet", "vgg", "wide_resnet",
)  # fmt: skip
OTHER_COLOURS = ("googlenet", "inception_v3")  # their published weights want pictures scaled in their own way
HEADS = ("avgpool", "dropout", "fc", "classifier", "aux1", "aux2", "AuxLogits")
SMALL = "small"
OURS = {SMALL: small_trunk, EFFICIENTNET_LITE0: efficientnet_lite0}  # built here; no address to fetch weights from
HALF_RANGE = (0.5,) * 3  # mean and standard deviation that take 0..1 to -1..1


def trunk_names() -> tuple[str, ...]:
    """Names that `build_trunk` knows."""
    models = torchvision.models.list_models(module=torchvision.models)
    return (*OURS, *(name for name in models if name.startswith(CNN_FAMILIES)))


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
    if name not in trunk_names():
        raise InputError(f"unknown trunk {name!r}: one of {', '.join(trunk_names())}")
    if name in OURS:
        if weights == "DEFAULT":
            raise InputError(f"the trunk {name!r} has no published weights to fetch: use weights none or a local file")
        trunk = OURS[name]()
    else:
        trunk = _stages(_published(name) if weights == "DEFAULT" else _build(name), name)
    if weights not in ("none", "DEFAULT"):
        _load_file(trunk, Path(weights), from_published if name == EFFICIENTNET_LITE0 else dict)
        if name == EFFICIENTNET_LITE0:
            fix_statistics(trunk)
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


def _build(name: str) -> nn.Module:
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in OTHER_COLOURS else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def _published(name: str) -> nn.Module:
    try:
        model: nn.Module = torchvision.models.get_model(name, weights="DEFAULT")
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the published weights of {name} cannot be had ({reason}): give a local file, or weights none"
        ) from None
    return model


def _stages(model: nn.Module, name: str) -> nn.Sequential:
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    if name in OTHER_COLOURS:
        # torchvision does this in their forward, by a flag that comes with the published weights.
        stages["colours"] = InputScale(HALF_RANGE, HALF_RANGE) if model.transform_input else InputScale()
    for child_name, child in model.named_children():
        if child_name not in HEADS:
            stages[child_name] = child
    if name.startswith("densenet"):
        stages["relu"] = nn.ReLU()  # DenseNet applies it in its forward, after the features
    return nn.Sequential(stages)


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
