"""ResNet-12 as few-shot learning uses it: four blocks of three 3 x 3 convolutions, about 12.4 million parameters.

The depth is that of TADAM (Oreshkin et al., NeurIPS 2018); channels, LeakyReLU and initial weights are those of
MetaOptNet (Lee et al., CVPR 2019), which later work takes over. Its DropBlock is left out.
"""

from collections import OrderedDict

from torch import Tensor, nn

CHANNELS = (64, 160, 320, 640)
SLOPE = 0.1  # of LeakyReLU below 0


class ResNet12Block(nn.Module):
    """Three 3 x 3 convolutions with BatchNorm, and a 1 x 1 convolution as the skip connection; it keeps the edge."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.conv3 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.skip = nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))
        self.relu = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c_in, h, w] -> [n, c_out, h, w]."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + self.skip(x))  # type: ignore[no-any-return]


def resnet12() -> nn.Sequential:
    """The trunk, from pictures [n, 3, h, w] from 16 pixels on to feature maps [n, 640, h / 16, w / 16], rounded down.

    Each block and the 2 x 2 max pooling after it are stages of their own, so that the last convolution's maps can be
    explained at twice the edge of the pooled ones.
    """
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    channels_in = 3
    for number, channels in enumerate(CHANNELS, start=1):
        stages[f"layer{number}"] = nn.Sequential(
            OrderedDict(block=ResNet12Block(channels_in, channels), pool=nn.MaxPool2d(2))
        )
        channels_in = channels
    trunk = nn.Sequential(stages)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")
    return trunk
