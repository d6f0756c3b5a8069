"""`small`: a light residual CNN for quick runs, 32-64-128-256 channels, about 1.2 million parameters."""

from collections import OrderedDict

from torch import Tensor, nn

CHANNELS = (32, 64, 128, 256)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm and a skip connection (a basic block of ResNet)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.skip = nn.Sequential()
        if stride != 1 or channels_in != channels_out:
            self.skip = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[n, c_in, h, w] -> [n, c_out, h / stride, w / stride]."""
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + self.skip(x))  # type: ignore[no-any-return]


def small_trunk() -> nn.Sequential:
    """The trunk, from pictures [n, 3, h, w] to feature maps [n, 256, h / 16, w / 16]."""
    stages: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(nn.Conv2d(3, CHANNELS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(CHANNELS[0]), nn.ReLU())
    )
    channels_in = CHANNELS[0]
    for number, channels in enumerate(CHANNELS, start=1):
        stages[f"layer{number}"] = ResidualBlock(channels_in, channels, stride=1 if number == 1 else 2)
        channels_in = channels
    return nn.Sequential(stages)
