from dataclasses import replace

import pytest

from tasks.metric.options import TrainingOptions
from tasks.study.rows import Method
from tasks.study.step_cost import step_cost

OPTIONS = TrainingOptions(trunk="small", embedding=16, size=32, batch=8)


@pytest.mark.parametrize("method", ["heml", "traditional", "avsl"])
def test_a_step_is_measured_in_a_process_of_its_own(method: Method) -> None:
    cost = step_cost(method, OPTIONS, 2)
    assert (cost.method, cost.trunk, cost.size, cost.batch, cost.device) == (method, "small", 32, 8, "cpu")
    assert cost.seconds > 0
    # At least the 1.2 million parameters, their gradients and AdamW's two moments, 4 bytes each; far below a process.
    assert 4 * 4 * 1_200_000 < cost.peak_memory < 2_000_000_000


def test_more_pictures_take_more_memory() -> None:
    small, large = (step_cost("heml", replace(OPTIONS, size=64, batch=batch), 1).peak_memory for batch in (8, 128))
    # At 64 px the stem and the first block alone keep 32 maps of 32 x 32 floats eight times over for each picture.
    assert large - small > 120 * 32 * 32 * 32 * 4 * 4


def test_a_failed_measurement_says_what_it_was() -> None:
    cost = step_cost("avsl", replace(OPTIONS, trunk="alexnet"), 1)
    assert (cost.peak_memory, cost.seconds) == (0, 0.0)
    assert "alexnet" in cost.failed
