"""Trunks: the convolutional part of any torchvision classification CNN, by name, or our `small` one."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from tasks.errors import InputError
from tasks.metric.small_trunk import small_trunk

# Families of torchvision.models whose feature maps end in global average pooling; the rest are transformers.
CNN_FAMILIES = (
    "alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception", "mnasnet", "mobilenet",
    "regnet", "resnet", "resnext", "shufflenet", "squeezenet", "vgg", "wide_resnet",
)  # fmt: skip
OTHER_COLOURS = ("googlenet", "inception_v3")  # their published weights want pictures scaled in their own way
HEADS = ("avgpool", "dropout", "fc", "classifier", "aux1", "aux2", "AuxLogits")
SMALL = "small"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def trunk_names() -> tuple[str, ...]:
    """Names that `build_trunk` knows."""
    models = torchvision.models.list_models(module=torchvision.models)
    return (SMALL, *(name for name in models if name.startswith(CNN_FAMILIES)))


def build_trunk(name: str, weights: str = "none") -> nn.Sequential:
    """Build a trunk: a sequence of named stages from pictures [n, 3, h, w] to feature maps [n, c, h', w'].

    Args:
        name: one of `trunk_names()`.
        weights: "none" (random, from torch's current seed), "DEFAULT" (torchvision's published ones), or a local
            .safetensors or .pth file with a state dict of the whole model or of the trunk. A .pth file is read with
            `weights_only=True`: nothing in it is executed.

    Raises:
        InputError: unknown name, or weights that cannot be had or do not fit.
    """
    if name not in trunk_names():
        raise InputError(f"unknown trunk {name!r}: one of {', '.join(trunk_names())}")
    if name == SMALL:
        trunk = small_trunk()
        if weights == "DEFAULT":
            raise InputError("the trunk 'small' has no published weights: use weights none or a local file")
    else:
        trunk = _stages(_published(name) if weights == "DEFAULT" else _build(name), name)
    if weights not in ("none", "DEFAULT"):
        _load_file(trunk, Path(weights))
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


class InputScale(nn.Module):
    """ImageNet-normalised pictures to what the trunk's weights were trained on; kept with the weights.

    torchvision's GoogLeNet and Inception do this in their forward, by a flag that comes with the published weights.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, half_range: bool) -> None:
        super().__init__()
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        # To [-1, 1]: undo the mean and standard deviation of ImageNet, then take 0.5 and 0.5.
        self.register_buffer("scale", std / 0.5 if half_range else torch.ones_like(std))
        self.register_buffer("shift", (mean - 0.5) / 0.5 if half_range else torch.zeros_like(mean))

    def forward(self, pictures: Tensor) -> Tensor:
        """Float [n, 3, h, w] to the same."""
        return pictures * self.scale + self.shift

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Weights from elsewhere have no scale of their own: they are taken as trained on normalised pictures.
        for name, tensor in self.state_dict().items():
            state.setdefault(f"{prefix}{name}", tensor)
        super()._load_from_state_dict(state, prefix, *rest)


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
        stages["colours"] = InputScale(half_range=bool(model.transform_input))
    for child_name, child in model.named_children():
        if child_name not in HEADS:
            stages[child_name] = child
    if name.startswith("densenet"):
        stages["relu"] = nn.ReLU()  # DenseNet applies it in its forward, after the features
    return nn.Sequential(stages)


def _load_file(trunk: nn.Sequential, path: Path) -> None:
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        missing, _ = trunk.load_state_dict(state, strict=False)
    except Exception as error:  # each reader has exceptions of its own; all mean that the file is not what was asked
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the weights {path} cannot be read: {reason}; give a state dict as .safetensors") from None
    if missing:
        raise InputError(
            f"the weights {path} do not fit the trunk: {len(missing)} tensors missing, such as {missing[0]}"
        )
