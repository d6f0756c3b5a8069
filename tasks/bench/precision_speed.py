"""P@1 of many embeddings, beside the library's calculator with Faiss: its time, and the memory that it takes.

python -m tasks.bench.precision_speed ours 100000 2     # seconds and memory of one side in this process
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.torch_threads import torch_threads
from tasks.metric.distances import squared_euclidean_distance_to
from tasks.metric.peak_memory import peak_memory
from tasks.metric.precision import precisions_among
from tasks.paired_rounds import in_turns, ratio_over

PART = "P@1"
AGAINST = "AccuracyCalculator with Faiss"
DIMENSIONS, LABELS = 64, 2


@dataclass(frozen=True, kw_only=True)
class PrecisionBench:
    """How many embeddings are timed, and of how many the memory is measured."""

    setting: BenchSetting
    timed: int = 10_000
    bounded: int = 100_000

    def rows(self) -> Iterator[BenchRow]:
        """Time, many rounds in this process; then time and memory of more, a process a side and round."""
        vectors, labels = drawn_embeddings(self.timed, self.setting.seed)
        with torch_threads(self.setting.threads):
            rounds = in_turns(
                lambda: SIDES["ours"](vectors, labels), lambda: SIDES["theirs"](vectors, labels), self.setting.rounds
            )
        ours, theirs = (f"{median(seconds):.3f} s" for seconds in (rounds.ours, rounds.theirs))
        yield BenchRow(
            part=f"{PART} of {self.timed:,}",
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
        alone = {side: [self._alone(side) for _ in range(REPEATED)] for side in SIDES}
        for measure, key, goal, scale, unit in (
            ("seconds", "seconds", 1.0, 1.0, "s"),
            ("memory beyond the embeddings", "memory", 1.0, 1e6, "MB"),
        ):
            figures = {side: [found[key] for found in alone[side]] for side in SIDES}
            shown = {side: f"{median(values) / scale:.1f} {unit}" for side, values in figures.items()}
            yield BenchRow(
                part=f"{PART} of {self.bounded:,}",
                against=AGAINST,
                measure=measure,
                ratio=ratio_over([a / b for a, b in zip(figures["ours"], figures["theirs"], strict=True)]),
                rounds=REPEATED,
                direction="at most",
                goal=goal,
                ours=shown["ours"],
                theirs=shown["theirs"],
                setting=f"{DIMENSIONS} dimensions, on the CPU, a process each",
            )

    def _alone(self, side: str) -> Mapping[str, float]:
        asked = [side, str(self.bounded), str(self.setting.threads)]
        done = subprocess.run(
            [sys.executable, "-m", "tasks.bench.precision_speed", *asked], capture_output=True, text=True, check=True
        )
        found: Mapping[str, float] = json.loads(done.stdout)
        return found


REPEATED = 3


def drawn_embeddings(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random embeddings about their labels' centres, float32 [n, 64] of length 1, and labels, int64 [n]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, LABELS, (n,), generator=generator)
    centres = torch.randn(LABELS, DIMENSIONS, generator=generator)
    drawn = centres[labels] + 2 * torch.randn(n, DIMENSIONS, generator=generator)
    return torch.nn.functional.normalize(drawn, dim=1), labels


def our_precision(vectors: Tensor, labels: Tensor) -> float:
    """By the squared Euclidean distance, each queried against all others."""
    own = torch.arange(len(vectors))
    shares = precisions_among(squared_euclidean_distance_to(vectors), vectors, labels, labels, [1], own=own)
    return shares[1].mean().item()


def their_precision(vectors: Tensor, labels: Tensor) -> float:
    """The same figure of pytorch-metric-learning with its default search, Faiss."""
    calculator = AccuracyCalculator(include=("precision_at_1",), k=1)
    return float(calculator.get_accuracy(vectors, labels)["precision_at_1"])


SIDES: Mapping[str, Callable[[Tensor, Tensor], float]] = {"ours": our_precision, "theirs": their_precision}


def measure(side: str, n: int, threads: int) -> dict[str, float]:
    """Seconds, and bytes at the most beyond what there was before, of one side in this process."""
    torch.set_num_threads(threads)
    vectors, labels = drawn_embeddings(n, 0)
    SIDES[side](vectors[:2000], labels[:2000])  # imports and first calls
    before, started = peak_memory("cpu"), time.perf_counter()
    SIDES[side](vectors, labels)
    return {"seconds": time.perf_counter() - started, "memory": float(peak_memory("cpu") - before)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
