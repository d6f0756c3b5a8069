"""Memory of a training step beside AVSL's: at equal trunk, batch and resolution, and at the published settings."""

from collections.abc import Iterator
from dataclasses import replace

from tasks.bench.bench_row import BenchRow
from tasks.bench.bench_setting import BenchSetting
from tasks.errors import InputError
from tasks.metric.options import TrainingOptions
from tasks.paired_rounds import ratio_over
from tasks.study.rows import Method
from tasks.study.step_cost import PUBLISHED, StepCost, step_cost

STEPS = 2
EQUAL = TrainingOptions(trunk="resnet18", size=224, batch=64)


def memory_rows(setting: BenchSetting) -> Iterator[BenchRow]:
    """Peak memory of a step of a HEML node and of AVSL, a process each and round.

    Args:
        setting: of the benchmark.

    Raises:
        InputError: a step could not be measured, most likely for want of memory.
    """
    base = replace(EQUAL, threads=setting.threads, device=setting.device, seed=setting.seed)
    for name, goal, rounds in (("equal", 1.0, 3), ("published", 1 / 6, 1)):
        sides: tuple[Method, Method] = ("heml", "avsl")
        options = {side: PUBLISHED[side](base) if name == "published" else base for side in sides}
        costs: dict[Method, list[StepCost]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side in costs:
                costs[side].append(_measured(side, options[side]))
        ratios = [ours.peak_memory / avsl.peak_memory for ours, avsl in zip(*costs.values(), strict=True)]
        ours, theirs = (f"{cost[-1].peak_memory / 1e9:.2f} GB" for cost in costs.values())
        yield BenchRow(
            part="memory of a training step",
            against=f"AVSL, {name} setting" + ("s" if name == "published" else ""),
            measure="bytes",
            ratio=ratio_over(ratios),
            rounds=rounds,
            direction="at most",
            goal=goal,
            ours=ours,
            theirs=theirs,
            setting="; ".join(f"{side} {own.trunk}, {own.size} px, batch {own.batch}" for side, own in options.items()),
        )


def _measured(side: Method, options: TrainingOptions) -> StepCost:
    cost = step_cost(side, options, STEPS)
    if cost.failed:
        raise InputError(f"a step of {side} at {options.size} px, batch {options.batch} failed: {cost.failed}")
    return cost
