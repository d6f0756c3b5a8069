import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from tasks.explanation.sfam import explained_layer
from tasks.metric.model import ModelSpec, build_model
from tasks.metric.resnet12 import CHANNELS, ResNet12Block, resnet12
from tasks.metric.trunks import flattened_stages


@pytest.mark.parametrize(("edge", "map_edge"), [(16, 1), (32, 2), (84, 5), (96, 6)])
@torch.no_grad()
def test_maps_have_640_channels_at_a_sixteenth_of_the_edge_rounded_down(edge: int, map_edge: int) -> None:
    assert resnet12().eval()(torch.zeros(1, 3, edge, edge)).shape == (1, 640, map_edge, map_edge)


def test_it_has_the_published_number_of_parameters() -> None:
    count = 0
    for before, channels in zip((3, *CHANNELS), CHANNELS, strict=False):
        convolutions = [9 * before * channels, 9 * channels**2, 9 * channels**2, before * channels]
        count += sum(convolutions) + len(convolutions) * 2 * channels  # each with a scale and a shift of BatchNorm
    assert CHANNELS == (64, 160, 320, 640)
    assert sum(parameter.numel() for parameter in resnet12().parameters()) == count
    assert count == pytest.approx(12.4e6, rel=0.005)


def test_a_pool_follows_each_block_and_the_last_block_is_explained_at_84_pixels() -> None:
    names = [name for name, _ in flattened_stages(resnet12())]
    assert names == [f"layer{number}.{part}" for number in (1, 2, 3, 4) for part in ("block", "pool")]
    model = build_model(ModelSpec(trunk="resnet12", embedding=4))
    # Before their pooling the last blocks have maps of 10 x 10 at 84 pixels, and 4 x 4 at 32.
    assert explained_layer(model, 84) == "layer4.block"
    assert explained_layer(model, 32) == "layer3.block"
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def batch_norm(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """By its definition, with the running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (x - norm.running_mean.view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


@torch.no_grad()
def test_a_block_adds_its_projected_input_to_three_convolutions() -> None:
    torch.manual_seed(0)
    block = ResNet12Block(4, 6)
    for _ in range(3):
        block(torch.randn(4, 4, 8, 8) + 1)  # statistics that are not 0 and 1
    block.eval()
    x = torch.randn(2, 4, 8, 8)
    inner = leaky(batch_norm(conv2d(x, block.conv1.weight, padding=1), block.bn1))
    inner = leaky(batch_norm(conv2d(inner, block.conv2.weight, padding=1), block.bn2))
    inner = batch_norm(conv2d(inner, block.conv3.weight, padding=1), block.bn3)
    skip = batch_norm(conv2d(x, block.skip[0].weight), block.skip[1])
    torch.testing.assert_close(block(x), leaky(inner + skip))


@torch.no_grad()
def test_the_trunk_is_its_blocks_each_with_a_maximum_over_2_x_2() -> None:
    torch.manual_seed(1)
    trunk, x = resnet12().eval(), torch.randn(1, 3, 37, 37)
    expected = x
    for number in range(1, 5):
        expected = max_pool2d(trunk.get_submodule(f"layer{number}.block")(expected), 2)
    torch.testing.assert_close(trunk(x), expected)


def test_initial_weights_are_kaiming_s_by_the_fan_out() -> None:
    torch.manual_seed(2)
    for name, module in resnet12().named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            # LeakyReLU's gain with the library's default slope of 0.01, as published.
            assert module.weight.std().item() == pytest.approx((2 / 1.0001 / fan_out) ** 0.5, rel=0.1), name
