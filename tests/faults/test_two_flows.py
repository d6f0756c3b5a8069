"""Two flows on one store at once."""

import time

import pytest

from tests.faults.conftest import Study, found

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]


def test_two_flows_at_once_share_the_work(study: Study) -> None:
    study.cluster.forget()
    began = time.time()
    runs = [study.start() for _ in range(2)]
    first, second = (run.outcome() for run in runs)
    study.check(first, began)  # over both: no epoch was trained twice
    assert found(second) == study.expected
    statuses = [[outcome["nodes"][name]["status"] for outcome in (first, second)] for name in study.expected]
    assert all(sorted(pair) == ["cached", "trained"] for pair in statuses)
