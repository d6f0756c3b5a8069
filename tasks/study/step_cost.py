"""What a training step costs in time and memory, measured in a process of its own.

python -m tasks.study.step_cost '{"method": "avsl", "options": {"trunk": "resnet50", ...}, "steps": 3}'
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch

from tasks.metric.avsl_training import AVSLLearner
from tasks.metric.learner import Learner
from tasks.metric.micro_batches import whole_gradients
from tasks.metric.model import normalise
from tasks.metric.options import TrainingOptions
from tasks.metric.peak_memory import peak_memory
from tasks.metric.training import NodeLearner
from tasks.study.rows import Method

LABELS = 2
# The published settings: AVSL's own; HEML's paper names none, so the common metric-learning example's (our reading).
PUBLISHED: dict[Method, Callable[[TrainingOptions], TrainingOptions]] = {
    "heml": lambda options: replace(options, trunk="resnet18", size=224, batch=64),
    "traditional": lambda options: replace(options, trunk="resnet18", size=224, batch=64),
    "avsl": lambda options: replace(options, trunk="resnet50", size=224, batch=180),
}


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What a step costs.

    Attributes:
        method: whose step. A node of a HEML tree and the traditional model take the same one.
        trunk, size, batch, device: what it was measured with.
        seconds: of one step, the first not counted where there is another.
        peak_memory: bytes above what the process had before the model was made; of the GPU where there is one.
        failed: why there are no figures; "" where there are.
    """

    method: Method
    trunk: str
    size: int
    batch: int
    device: str
    seconds: float
    peak_memory: int
    failed: str = ""


# Of the options, all that a step's cost depends on.
USED = ("trunk", "size", "batch", "embedding", "loss", "threads", "device")


def step_cost(method: Method, options: TrainingOptions, steps: int) -> StepCost:
    """Measure steps in a new process, so that nothing before them counts.

    Args:
        method: whose steps.
        options: those of `USED`.
        steps: how many.

    Returns:
        The cost; without figures if the process failed, most likely for want of memory.
    """
    request = json.dumps({"method": method, "options": asdict(options), "steps": steps})
    done = subprocess.run(
        [sys.executable, "-m", "tasks.study.step_cost", request], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return _cost(
            method,
            options,
            failed=lines[-1] if lines else f"ended with {done.returncode}, most likely for want of memory",
        )
    return StepCost(**json.loads(done.stdout))


def measure(method: Method, options: TrainingOptions, steps: int) -> StepCost:
    """Measure steps in this process, on random pictures.

    Args: as `step_cost`.

    Raises:
        InputError: the method cannot use the trunk.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    before = peak_memory(options.device)
    learner: Learner = (AVSLLearner if method == "avsl" else NodeLearner)(options, LABELS, None)
    learner.start_epoch(options.epochs - 1)  # beyond any warm-up: everything learns
    pictures = torch.randint(0, 256, (options.batch, 3, options.size, options.size), dtype=torch.uint8)
    labels = torch.arange(options.batch) % LABELS
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        whole_gradients(learner, normalise(pictures.to(options.device)), labels.to(options.device), None)
        learner.optimiser.step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    counted = seconds[1:] or seconds
    return _cost(method, options, seconds=sum(counted) / len(counted), memory=peak_memory(options.device) - before)


def _cost(
    method: Method, options: TrainingOptions, *, seconds: float = 0.0, memory: int = 0, failed: str = ""
) -> StepCost:
    return StepCost(
        method=method,
        trunk=options.trunk,
        size=options.size,
        batch=options.batch,
        device=options.device,
        seconds=seconds,
        peak_memory=memory,
        failed=failed,
    )


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    found = measure(given["method"], TrainingOptions(**given["options"]), given["steps"])
    sys.stdout.write(json.dumps(asdict(found)))
