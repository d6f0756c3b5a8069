"""The real flow with nodes that sleep, beside the schedule; and where node times come from."""

from pathlib import Path
from typing import Any

import pytest

from flows.scale_workers import _flow_seconds, least_seconds
from infra.schedule import list_schedule
from tasks.segments.tree import parse_tree

TREE = parse_tree({"tree": [["a", "b"], ["c", "d"]], "names": {"e": ["a", "b"], "f": ["c", "d"], "root": ["e", "f"]}})


def test_each_node_s_least_time_of_several_runs() -> None:
    names = [node.name for node in TREE.nodes]
    first, second = (
        {name: {"seconds": 1.0 + (number + shift) % 3} for number, name in enumerate(names)} for shift in (0, 1)
    )
    found = least_seconds([{"nodes": first}, {"nodes": {**second, "control": {"seconds": 0.1}}}], TREE)
    # Of 1, 2, 3, 1, ... and 2, 3, 1, 2, ... the lesser ones.
    assert found == dict(zip(names, [1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 1.0], strict=True))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.server
@pytest.mark.usefixtures("prefect_server")
def test_the_flow_takes_no_less_than_the_schedule_and_two_workers_share_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEML_HOME", str(tmp_path))
    seconds = {node.name: 3.0 for node in TREE.nodes}
    waits_for: dict[str, Any] = {node.name: node.children for node in TREE.nodes}
    assert list_schedule(seconds, waits_for, 2).seconds == 12
    taken = _flow_seconds(TREE, seconds, 2)
    assert 12 <= taken < 21  # one worker alone takes 21
