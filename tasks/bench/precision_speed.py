"""P@1 of many embeddings, beside the library's calculator with Faiss: its time, and the memory that it takes.

python -m tasks.bench.precision_speed ours 100000 2     # seconds and memory of one side in this process
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.errors import InputError
from tasks.metric.distances import squared_euclidean_distance_to
from tasks.metric.peak_memory import peak_memory
from tasks.metric.precision import precisions_among
from tasks.metric.torch_threads import torch_threads
from tasks.paired_rounds import in_turns, ratio_over

PART = "P@1"
AGAINST = "AccuracyCalculator with Faiss"
DIMENSIONS, LABELS = 64, 2
NOISE = {"scattered": 2.0, "in tight clusters": 0.05}
"""How far embeddings lie from their label's centre; trained ones lie near it."""
REPEATED = 3


@dataclass(frozen=True, kw_only=True)
class PrecisionBench:
    """How many embeddings are timed, and of how many the memory is measured."""

    setting: BenchSetting
    timed: int = 10_000
    bounded: int = 100_000

    def rows(self) -> Iterator[BenchRow]:
        """Time of far and near embeddings in this process; then time and memory of many, a process a side and round."""
        for name, noise in NOISE.items():
            vectors, labels = drawn_embeddings(self.timed, noise, self.setting.seed)
            our_side, their_side = (partial(SIDES[side], vectors, labels) for side in SIDES)
            with torch_threads(self.setting.threads):
                rounds = in_turns(our_side, their_side, self.setting.rounds)
            ours, theirs = (f"{median(seconds):.3f} s" for seconds in (rounds.ours, rounds.theirs))
            yield BenchRow(
                part=f"{PART} of {self.timed:,}, {name}",
                against=AGAINST,
                measure="speed",
                ratio=rounds.speed,
                rounds=self.setting.rounds,
                direction="at least",
                goal=1.0,
                ours=ours,
                theirs=theirs,
                setting=f"{DIMENSIONS} dimensions, on the CPU",
            )
        found = [{side: self._alone(side) for side in SIDES} for _ in range(REPEATED)]
        for key, scale, unit in (("seconds", 1.0, "s"), ("memory", 1e6, "MB")):
            shown = [f"{median([one[side][key] for one in found]) / scale:.1f} {unit}" for side in SIDES]
            yield BenchRow(
                part=f"{PART} of {self.bounded:,}",
                against=AGAINST,
                measure={"seconds": "seconds", "memory": "memory beyond the embeddings"}[key],
                ratio=ratio_over([one["ours"][key] / one["theirs"][key] for one in found]),
                rounds=REPEATED,
                direction="at most",
                goal=1.0,
                ours=shown[0],
                theirs=shown[1],
                setting=f"{DIMENSIONS} dimensions, on the CPU, a process each",
            )

    def _alone(self, side: str) -> Mapping[str, float]:
        asked = [side, str(self.bounded), str(self.setting.threads)]
        done = subprocess.run(
            [sys.executable, "-m", "tasks.bench.precision_speed", *asked], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InputError(f"P@1 of {self.bounded:,} ({side}) ended with {done.returncode}, most likely for memory")
        found: Mapping[str, float] = json.loads(done.stdout)
        return found


def drawn_embeddings(n: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Random embeddings about their labels' centres, float32 [n, 64] of length 1, and labels, int64 [n].

    Args:
        n: how many.
        noise: of each number; the centres' own are drawn with 1.
        seed: of the drawing.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, LABELS, (n,), generator=generator)
    centres = torch.randn(LABELS, DIMENSIONS, generator=generator)
    drawn = centres[labels] + noise * torch.randn(n, DIMENSIONS, generator=generator)
    return torch.nn.functional.normalize(drawn, dim=1), labels


def our_precision(vectors: Tensor, labels: Tensor) -> float:
    """By the squared Euclidean distance, each queried against all others."""
    own = torch.arange(len(vectors))
    shares = precisions_among(squared_euclidean_distance_to(vectors), vectors, labels, labels, [1], own=own)
    return shares[1].mean().item()


def their_precision(vectors: Tensor, labels: Tensor) -> float:
    """The same figure of pytorch-metric-learning with its default search, Faiss."""
    import faiss  # noqa: F401, PLC0415 (the library says nothing of its absence until it is used)

    calculator = AccuracyCalculator(include=("precision_at_1",), k=1, device=torch.device("cpu"))
    return float(calculator.get_accuracy(vectors, labels)["precision_at_1"])


SIDES: Mapping[str, Callable[[Tensor, Tensor], float]] = {"ours": our_precision, "theirs": their_precision}


def measure(side: str, n: int, threads: int) -> dict[str, float]:
    """Seconds, and bytes at the most beyond what there was before, of one side in this process."""
    torch.set_num_threads(threads)
    vectors, labels = drawn_embeddings(n, NOISE["scattered"], 0)
    SIDES[side](vectors[:2000], labels[:2000])  # imports and first calls
    before, started = peak_memory("cpu"), time.perf_counter()
    SIDES[side](vectors, labels)
    return {"seconds": time.perf_counter() - started, "memory": float(peak_memory("cpu") - before)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
