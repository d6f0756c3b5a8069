"""The whole benchmark: parts, files, and what cannot be measured."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows import bench
from flows.bench import run_bench
from flows.bench_chart import LEAST, MOST, _beyond, write_chart
from flows.cli_bench import bench as command
from infra.settings import Settings, load_settings
from tasks.bench.bench_row import BenchRow, counted
from tasks.bench.method_bench import MethodBench
from tasks.errors import InputError
from tasks.paired_rounds import Ratio

ROW = BenchRow(
    part="a part",
    against="a peer",
    measure="speed",
    ratio=Ratio(median=2.0, low=1.5, high=3.0),
    rounds=9,
    direction="at least",
    goal=1.0,
    ours="1 s",
    theirs="2 s",
    setting="here",
)


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", device="cpu", workers=1)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Two parts: one that gives a row, one that fails after a row. Called with where they ran."""
    ran: list[tuple[str, Path]] = []

    def good(self: MethodBench, part: str) -> Iterator[BenchRow]:
        ran.append((part, self.setting.folder))
        yield replace(ROW, part=part)

    def bad(folder: Path) -> Iterator[BenchRow]:
        ran.append(("start", folder))
        yield replace(ROW, part="start", goal=4.0)
        raise InputError("no room here")

    monkeypatch.setattr(MethodBench, "rows", good)
    monkeypatch.setitem(bench.COMMAND_PARTS, "start", bad)
    return ran


def test_all_files_tell_all_rows_and_what_was_not_measured(
    own: Settings, parts: list[tuple[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run_bench(own, tmp_path / "out", parts=["start", "loop"], rounds=3)
    assert [row.part for row in rows] == ["start", "loop"]
    kept = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert kept["rows"] == json.loads(json.dumps([row.to_dict() for row in rows]))
    assert kept["not_measured"] == {"start": "InputError: no room here"}
    assert kept["machine"]
    text = (tmp_path / "out" / "bench.md").read_text(encoding="utf-8")
    assert kept["machine"] in text
    assert "| not reached |" in text
    with Image.open(tmp_path / "out" / "bench.png") as chart:
        assert chart.size[0] > 500
    printed = capsys.readouterr().out
    assert "not measured: InputError: no room here" in printed
    assert "loop, speed: 2 (1.5 to 3) of a peer (>= 1; reached)" in printed
    folders = {folder for _, folder in parts}
    assert len(folders) == 1
    assert not folders.pop().exists()


def test_an_unknown_part_is_named_before_anything_runs(
    own: Settings, parts: list[tuple[str, Path]], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"unknown part 'speed' of the benchmark: one of loop, store, precision"):
        run_bench(own, tmp_path, parts=["loop", "speed"], rounds=3)
    assert parts == []


@pytest.mark.parametrize(
    ("direction", "goal", "value", "beyond"),
    [
        ("at least", 2.0, 3.0, 1.5),
        ("at most", 2.0, 4.0, 0.5),
        ("at most", 0.5, 0.0, MOST),
        ("at most", 0.0, 0.0, MOST),
        ("at most", 0.0, 0.1, LEAST),
        ("at least", 1.0, 100.0, MOST),
        ("at least", 1.0, 0.001, LEAST),
    ],
)
def test_the_chart_shows_how_many_goals_a_ratio_is(direction: Any, goal: float, value: float, beyond: float) -> None:
    row = replace(ROW, direction=direction, goal=goal, ratio=counted(value))
    assert _beyond(row, value) == pytest.approx(beyond)


def test_a_row_beyond_its_goal_is_drawn_on_the_other_side_and_in_another_colour(tmp_path: Path) -> None:
    def coloured(row: BenchRow) -> tuple[float, bool]:
        write_chart([row], "a machine", tmp_path / "chart.png")
        with Image.open(tmp_path / "chart.png") as chart:
            pixels = np.asarray(chart.convert("RGB")).astype(int)
        green = (np.abs(pixels - [0x1B, 0x6E, 0x53]).sum(axis=2) < 10).nonzero()[1]
        brown = (np.abs(pixels - [0xB3, 0x54, 0x1E]).sum(axis=2) < 10).nonzero()[1]
        of = green if len(green) else brown
        return float(of.min()), bool(len(green))

    right, reached = coloured(ROW)
    left, missed = coloured(replace(ROW, goal=8.0))
    assert reached
    assert not missed
    assert left < right


def test_a_tree_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --store too"):
        command(out=tmp_path, tree="celeba")
