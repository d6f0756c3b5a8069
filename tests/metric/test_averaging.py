from collections.abc import Callable
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tasks.metric.averaging import average_weights


@cache
def network(seed: int, batches: int) -> nn.Sequential:
    """A small network that has seen some batches, so that its BatchNorm's statistics are its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        for _ in range(batches):
            model(torch.randn(4, 3, 6, 6))
    return model


weights = st.lists(st.integers(0, 7), min_size=2, max_size=4).filter(any)


@given(weights)
def test_every_tensor_is_the_weighted_mean(given_weights: list[int]) -> None:
    states = [network(seed, batches=3).state_dict() for seed in range(len(given_weights))]
    averaged = average_weights(states, given_weights)
    assert averaged.keys() == states[0].keys()
    for name, tensor in averaged.items():
        assert tensor.dtype == states[0][name].dtype
        expected = np.average([state[name].numpy() for state in states], axis=0, weights=given_weights)
        np.testing.assert_allclose(tensor, expected, rtol=1e-5, atol=1e-7)


def test_batch_norm_s_statistics_are_averaged_and_its_counter_stays_an_integer() -> None:
    states = [network(0, batches=2).state_dict(), network(1, batches=5).state_dict()]
    averaged = average_weights(states, [1, 1])
    mean = (states[0]["1.running_mean"] + states[1]["1.running_mean"]) / 2
    torch.testing.assert_close(averaged["1.running_mean"], mean)
    assert averaged["1.num_batches_tracked"].dtype == torch.int64
    assert averaged["1.num_batches_tracked"].item() in (3, 4)  # of 3.5
    assert average_weights(states, [1, 2])["1.num_batches_tracked"].item() == 4
    assert average_weights(states, [2, 1])["1.num_batches_tracked"].item() == 3
    deepcopy(network(0, batches=2)).load_state_dict(averaged)


def test_the_average_of_linear_layers_computes_the_average() -> None:
    a, b, c = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)
    c.load_state_dict(average_weights([a.state_dict(), b.state_dict()], [0.75, 0.25]))
    x = torch.randn(5, 3)
    torch.testing.assert_close(c(x), 0.75 * a(x) + 0.25 * b(x))


def test_only_the_ratio_of_the_weights_matters() -> None:
    states = [network(seed, batches=1).state_dict() for seed in (0, 1)]
    for name, tensor in average_weights(states, [0.1, 0.3]).items():
        torch.testing.assert_close(tensor, average_weights(states, [2, 6])[name])


def test_one_state_or_equal_ones_stay_as_they_are_in_new_tensors() -> None:
    state = network(0, batches=3).state_dict()
    for states, share in (([state], [3.0]), ([state, state], [0.2, 0.6])):
        averaged = average_weights(states, share)
        for name, tensor in averaged.items():
            torch.testing.assert_close(tensor, state[name])
            assert tensor.data_ptr() != state[name].data_ptr()


def test_large_float32_values_are_averaged_in_double_precision() -> None:
    # In float32, 2^24 + 1 is 2^24 already in the sum.
    states = [{"x": torch.tensor([2.0**24])}, {"x": torch.tensor([1.0])}, {"x": torch.tensor([1.0])}]
    assert average_weights(states, [1, 1, 1])["x"].item() == np.float32((2**24 + 2) / 3)


State = dict[str, Tensor]


@pytest.mark.parametrize(
    ("states", "share", "message"),
    [
        (lambda s: [], [], "one weight a state; got 0 states, 0 weights"),
        (lambda s: [s, s], [1.0], "got 2 states, 1 weights"),
        (lambda s: [s, s], [2.0, -1.0], "weights >= 0 with a positive sum"),
        (lambda s: [s, s], [0.0, 0.0], "weights >= 0 with a positive sum"),
        (lambda s: [s, s], [1.0, float("inf")], "weights >= 0 with a positive sum"),
        (lambda s: [s, s], [1.0, float("nan")], "weights >= 0 with a positive sum"),
        (lambda s: [s, {"x": s["x"], "y": s["x"]}], [1, 1], "one architecture"),
        (lambda s: [s, {}], [1, 1], "one architecture"),
        (lambda s: [s, {"x": torch.zeros(1)}], [1, 1], "one architecture"),
    ],
)
def test_what_cannot_be_averaged_is_refused(
    states: Callable[[State], list[State]], share: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        average_weights(states({"x": torch.zeros(2)}), share)
