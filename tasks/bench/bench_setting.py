"""Where and how the benchmark runs."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, kw_only=True)
class BenchSetting:
    """What all comparisons share.

    Attributes:
        folder: for what they write; theirs alone.
        device: "cpu" or "cuda".
        threads: of torch on the CPU, both sides alike.
        rounds: that are timed.
        seed: of weights, drawing and order.
    """

    folder: Path
    device: str
    threads: int
    rounds: int
    seed: int = 0

    def settle(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()
