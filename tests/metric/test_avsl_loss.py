import math

import pytest
import torch

from tasks.metric.avsl_loss import proxy_anchor_loss


def naive_loss(distances: list[list[float]], labels: list[int]) -> float:
    proxies = range(len(distances[0]))
    pulled = []
    for proxy in proxies:
        own = [row[proxy] for row, label in zip(distances, labels, strict=True) if label == proxy]
        if own:
            pulled.append(math.log(1 + sum(math.exp(16 * (d - 1.8)) for d in own)))
    pushed = []
    for proxy in proxies:
        others = [row[proxy] for row, label in zip(distances, labels, strict=True) if label != proxy]
        pushed.append(math.log(1 + sum(math.exp(-16 * (d - 2.2)) for d in others)))
    return sum(pulled) / len(pulled) + sum(pushed) / len(pushed)


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 2, 1, 0], [1, 1, 1, 1, 1], [0, 0, 2, 2, 0]],
    ids=["all labels", "one label", "a label is missing"],
)
def test_the_loss_by_loops(labels: list[int]) -> None:
    distances = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)) * 3
    got = proxy_anchor_loss(distances, torch.tensor(labels))
    assert got.item() == pytest.approx(naive_loss(distances.tolist(), labels), rel=1e-5)


def test_the_gradient_pulls_an_image_to_its_proxy_and_pushes_it_from_others() -> None:
    distances = torch.tensor([[2.0, 2.0], [1.9, 2.1]], requires_grad=True)
    proxy_anchor_loss(distances, torch.tensor([0, 1])).backward()
    gradient = distances.grad
    assert gradient is not None
    assert (gradient.diagonal() > 0).all()
    assert gradient[0, 1] < 0
    assert gradient[1, 0] < 0


def test_images_well_inside_the_margins_cost_nothing_and_far_ones_stay_numbers() -> None:
    labels = torch.tensor([0, 1])
    assert proxy_anchor_loss(torch.tensor([[0.0, 4.0], [4.0, 0.0]]), labels).item() < 1e-9
    far = torch.tensor([[400.0, 0.0], [0.0, 400.0]], requires_grad=True)
    loss = proxy_anchor_loss(far, labels)
    assert loss.item() == pytest.approx(16 * (400 - 1.8) + 16 * 2.2)  # e^6000 is no float32
    loss.backward()
    assert far.grad is not None
    assert torch.isfinite(far.grad).all()
