"""Waiting times: which commands are run, and what is made of their seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import bench_commands
from flows.bench_commands import HEML, second_run_rows, start_rows
from tasks.segments.pictures import decode_label_map
from tasks.segments.tree import parse_tree

Calls = list[tuple[tuple[str, ...], Mapping[str, str] | None]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Commands take no time but by a clock of their own: the second training a quarter of the first."""
    made: Calls = []
    trainings = iter([100.0, 25.0])
    seconds = [0.0]

    def run(arguments: Sequence[str], home: Path, settings: Mapping[str, str] | None = None) -> str:
        assert tuple(arguments[:2]) == HEML
        made.append((tuple(arguments[2:]), settings))
        seconds[0] += (
            next(trainings) if arguments[2] == "train" else {"--help": 0.4, "explain": 9.0}.get(arguments[2], 0)
        )
        return ""

    monkeypatch.setattr(bench_commands, "run_python", run)
    monkeypatch.setattr(bench_commands.time, "perf_counter", lambda: seconds[0])
    return made


def test_commands_are_timed_against_their_limits(calls: Calls, tmp_path: Path) -> None:
    started, explained = start_rows(tmp_path)
    assert started.ratio.median == pytest.approx(0.4 / 0.5)
    assert explained.ratio.median == pytest.approx(9 / 6)
    assert (started.reached, explained.reached) == (True, False)
    commands = [arguments[0] for arguments, _ in calls]
    assert commands == ["--help"] * 6 + ["prepare", "train"] + ["explain"] * 6
    asked: Any = calls[-1][0]
    assert decode_label_map(Path(asked[asked.index("--mask-a") + 1]).read_bytes(), "mask").any()
    assert Path(asked[1]).is_file()


def test_the_second_run_has_one_other_leaf(calls: Calls, tmp_path: Path) -> None:
    (row,) = second_run_rows(tmp_path)
    trained = [arguments for arguments, settings in calls if settings]
    first, second = (
        parse_tree(yaml.safe_load(Path(arguments[arguments.index("--tree") + 1]).read_text(encoding="utf-8")))
        for arguments in trained
    )
    changed = [node.name for node in first.nodes if second[node.name].classes != node.classes]
    assert changed == ["mouth", "throat", "lower"]  # and the root, which sees all pixels but starts from another child
    assert row.goal == pytest.approx(4 / 15 + 0.05)
    assert row.setting.startswith("4 of 15 nodes")
    assert row.ratio.median == pytest.approx(0.25)
    assert (row.ours, row.theirs) == ("25 s", "100 s")
