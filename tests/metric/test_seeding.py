from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import efficientnet_b0, resnet18

from tasks.metric.seeding import draws_random_numbers, seeded


def drawn(seed: int) -> Tensor:
    with seeded(seed):
        return torch.cat([torch.rand(1) for _ in range(500)])


def test_what_is_drawn_comes_from_the_seed_and_the_state_outside_is_kept() -> None:
    torch.manual_seed(7)
    expected_outside = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = drawn(1), drawn(1), drawn(2)
    assert torch.equal(torch.rand(3), expected_outside)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(1)
    assert torch.equal(first, torch.rand(500))


def test_threads_take_turns() -> None:
    expected = [drawn(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number, got in enumerate(pool.map(lambda number: drawn(number % 4), range(40))):
            assert torch.equal(got, expected[number % 4])


@pytest.mark.parametrize(
    ("model", "draws"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), False),
        (nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout2d())), True),
        (resnet18(), False),
        (efficientnet_b0(), True),
    ],
)
def test_dropout_and_stochastic_depth_draw(model: nn.Module, draws: bool) -> None:
    assert draws_random_numbers(model) == draws
