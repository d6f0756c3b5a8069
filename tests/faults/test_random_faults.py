"""Twenty trainings of a tree of 31 nodes, each with one fault at a random moment; every kind comes at least once.

Each has to find what the training finds without a fault, to the checkpoint's last bit, with no epoch trained twice.
"""

import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Study
from tests.faults.native_cluster import PARTS
from tests.faults.training_process import Run, until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]

RUNS = 20
STOPPED = "the flow, by "
Fault = Callable[[Study, Run], None]


def killed(*parts: str) -> Fault:
    return lambda study, _: study.cluster.kill(*parts)


def signalled(number: signal.Signals) -> Fault:
    return lambda _, run: run.kill(number)


FAULTS: dict[str, Fault] = {
    **{part: killed(part) for part in PARTS},
    "all workers": killed("CUDA worker", "CPU worker"),
    "all of Dask": killed("CUDA worker", "CPU worker", "scheduler"),
    "both servers": killed("Prefect's server", "MLflow"),
    f"{STOPPED}kill -9": signalled(signal.SIGKILL),
    f"{STOPPED}Ctrl-C": signalled(signal.SIGINT),
}
ORDER = [name for _ in range(0, RUNS, len(FAULTS)) for name in FAULTS][:RUNS]


@pytest.mark.parametrize(("number", "name"), list(enumerate(ORDER)))
def test_a_training_ends_right_whatever_breaks(study: Study, number: int, name: str) -> None:
    drawn = random.Random(number)
    after, pause = drawn.randrange(30), drawn.uniform(0, 2)
    study.cluster.forget()
    began = time.time()
    run = study.start()
    until(lambda: run.finished_nodes() >= after, 600, f"{after} nodes are trained\n{run.said}")
    time.sleep(pause)
    FAULTS[name](study, run)
    if name.startswith(STOPPED):
        assert run.ended() != 0
        run = study.start()
    study.check(run.outcome(), began)
