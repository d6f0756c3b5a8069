import pytest
import torch
from torch.nn.functional import conv2d

from tasks.metric.small_trunk import CHANNELS, ResidualBlock, small_trunk


@pytest.mark.parametrize(("edge", "map_edge"), [(32, 2), (48, 3), (64, 4), (16, 1)])
@torch.no_grad()
def test_maps_have_256_channels_at_a_sixteenth_of_the_edge(edge: int, map_edge: int) -> None:
    assert small_trunk().eval()(torch.zeros(2, 3, edge, 2 * edge)).shape == (2, 256, map_edge, 2 * map_edge)


def test_it_has_about_1_2_million_parameters() -> None:
    stem = 3 * CHANNELS[0] * 9 + 2 * CHANNELS[0]
    blocks = 0
    for number, channels in enumerate(CHANNELS):
        before = CHANNELS[max(0, number - 1)]
        blocks += 9 * before * channels + 9 * channels * channels + 2 * 2 * channels
        if before != channels:
            blocks += before * channels + 2 * channels  # the 1 x 1 convolution of the skip connection
    count = sum(parameter.numel() for parameter in small_trunk().parameters())
    assert count == stem + blocks
    assert count == pytest.approx(1.2e6, rel=0.03)


def batch_norm(x: torch.Tensor, norm: torch.nn.BatchNorm2d) -> torch.Tensor:
    """By its definition, with the running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (x - norm.running_mean.view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


@pytest.mark.parametrize(("channels_in", "channels_out", "stride"), [(4, 4, 1), (4, 6, 2), (4, 6, 1)])
@torch.no_grad()
def test_a_block_adds_its_input_to_two_convolutions(channels_in: int, channels_out: int, stride: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(channels_in, channels_out, stride)
    for _ in range(3):
        block(torch.randn(4, channels_in, 8, 8) + 1)  # statistics that are not 0 and 1
    block.eval()
    x = torch.randn(2, channels_in, 8, 8)
    inner = batch_norm(conv2d(x, block.conv1.weight, stride=stride, padding=1), block.bn1).clamp(min=0)
    inner = batch_norm(conv2d(inner, block.conv2.weight, padding=1), block.bn2)
    skip = x
    if len(block.skip):
        skip = batch_norm(conv2d(x, block.skip[0].weight, stride=stride), block.skip[1])
    torch.testing.assert_close(block(x), (inner + skip).clamp(min=0))
    assert bool(len(block.skip)) == (stride != 1 or channels_in != channels_out)
