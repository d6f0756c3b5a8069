"""A combined node's start: the weighted average of its children's trained weights (HEML's local models)."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

AveragingWeights = Literal["equal", "area", "precision"]
AVERAGING_WEIGHTS: tuple[AveragingWeights, ...] = get_args(AveragingWeights)


def average_weights(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """Weighted average of state dicts.

    Meaningful only if all states come from one initialisation. Floating entries, BatchNorm's running statistics among
    them, are averaged in double precision; integer ones (`num_batches_tracked`) likewise, rounded to an integer.

    Args:
        states: state dicts with the same keys, shapes and dtypes.
        weights: one a state, not negative, not all 0; they are scaled to sum to 1.

    Returns:
        A state dict of new tensors, dtypes as in the states.

    Raises:
        ValueError: no state, weights that do not fit, or states that differ in keys or shapes.
    """
    if not states or len(states) != len(weights):
        raise ValueError(f"average_weights needs one weight a state; got {len(states)} states, {len(weights)} weights")
    total = float(sum(weights))
    if min(weights) < 0 or not 0 < total < float("inf"):
        raise ValueError(f"average_weights needs weights >= 0 with a positive sum; got {list(weights)}")
    first = states[0]
    for state in states[1:]:
        if state.keys() != first.keys() or any(state[name].shape != first[name].shape for name in first):
            raise ValueError("average_weights needs states of one architecture; their keys or shapes differ")
    averaged = {}
    for name, tensor in first.items():
        mean = torch.stack([state[name].double() * (w / total) for state, w in zip(states, weights, strict=True)]).sum(
            0
        )
        averaged[name] = (mean if tensor.is_floating_point() else mean.round()).to(tensor.dtype)
    return averaged
