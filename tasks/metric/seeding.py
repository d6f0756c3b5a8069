"""Random numbers from a given seed where a library draws them from torch's global state."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_GLOBAL_STATE = threading.RLock()  # it belongs to the process, not to the thread


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """What is drawn inside comes from the seed; the state is as it was afterwards. Threads take turns.

    Args:
        seed: of the CPU's and the device's generator.
        device: "cpu" or "cuda".
    """
    with _GLOBAL_STATE, torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(seed)
        yield


def draws_random_numbers(model: nn.Module) -> bool:
    """Whether the model's forward draws random numbers in training mode: it has dropout or stochastic depth."""
    # torchvision takes seconds to import; where it was never imported, no module is of it.
    depth = getattr(sys.modules.get("torchvision.ops"), "StochasticDepth", ())
    return any(isinstance(module, (nn.modules.dropout._DropoutNd, depth)) for module in model.modules())
