"""The convolutional part of torchvision's classification CNNs, by name."""

from collections import OrderedDict
from typing import Any

import torchvision
from torch import nn

from tasks.errors import InputError, reason_of
from tasks.metric.input_scale import InputScale

# Families of torchvision.models whose feature maps end in global average pooling; the rest are transformers.
CNN_FAMILIES = (
    "alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception", "mnasnet", "mobilenet",
    "regnet", "resnet", "resnext", "shufflenet", "squeezenet", "vgg", "wide_resnet",
)  # fmt: skip
OTHER_COLOURS = ("googlenet", "inception_v3")  # their published weights want pictures scaled in their own way
HEADS = ("avgpool", "dropout", "fc", "classifier", "aux1", "aux2", "AuxLogits")
HALF_RANGE = (0.5,) * 3  # mean and standard deviation that take 0..1 to -1..1


def torchvision_trunk_names() -> tuple[str, ...]:
    """Names that `torchvision_trunk` knows."""
    models = torchvision.models.list_models(module=torchvision.models)
    return tuple(name for name in models if name.startswith(CNN_FAMILIES))


def torchvision_trunk(name: str, *, published: bool) -> nn.Sequential:
    """Build a trunk: named stages from pictures [n, 3, h, w] to feature maps [n, c, h', w'].

    Args:
        name: one of `torchvision_trunk_names()`.
        published: with torchvision's published weights; else random ones, from torch's current seed.

    Raises:
        InputError: the published weights cannot be had.
    """
    return _stages(_published(name) if published else _build(name), name)


def _build(name: str) -> nn.Module:
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if name in OTHER_COLOURS else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def _published(name: str) -> nn.Module:
    try:
        model: nn.Module = torchvision.models.get_model(name, weights="DEFAULT")
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the published weights of {name} cannot be had ({reason_of(error)}): give a local file, or weights none"
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
