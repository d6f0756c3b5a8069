import pytest

from tasks.bench import memory_cost
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.memory_cost import memory_rows
from tasks.errors import InputError
from tasks.metric.options import TrainingOptions
from tasks.study.step_cost import StepCost


def cost(method: str, options: TrainingOptions, memory: int, failed: str = "") -> StepCost:
    return StepCost(
        method=method,  # type: ignore[arg-type]
        trunk=options.trunk,
        size=options.size,
        batch=options.batch,
        device=options.device,
        seconds=1.0,
        peak_memory=memory,
        failed=failed,
    )


def test_equal_and_published_settings_are_compared(setting: BenchSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(method: str, options: TrainingOptions, steps: int) -> StepCost:
        asked.append((method, options.trunk, options.size, options.batch))
        return cost(method, options, {"heml": 2, "avsl": 3}[method] * options.batch)

    monkeypatch.setattr(memory_cost, "step_cost", measured)
    equal, published = memory_rows(setting)
    assert equal.ratio.median == pytest.approx(2 / 3)
    assert published.ratio.median == pytest.approx(2 * 64 / (3 * 180))
    assert (equal.goal, published.goal) == (1.0, 1 / 6)
    assert asked[:2] == [("heml", "resnet18", 224, 64), ("avsl", "resnet18", 224, 64)]
    assert asked[-1] == ("avsl", "resnet50", 224, 180)


def test_a_step_that_cannot_be_measured_is_named(setting: BenchSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cost, "step_cost", lambda method, options, _: cost(method, options, 0, "killed"))
    with pytest.raises(InputError, match="a step of heml at 224 px, batch 64 failed: killed"):
        list(memory_rows(setting))
