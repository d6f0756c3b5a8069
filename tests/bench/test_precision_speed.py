import json
import subprocess
import sys

import pytest
import torch

from tasks.bench import precision_speed
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.precision_speed import PrecisionBench, drawn_embeddings, our_precision, their_precision
from tasks.errors import InputError


def test_both_sides_find_what_a_double_loop_finds() -> None:
    vectors, labels = drawn_embeddings(1200, 2.0, 3)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0] * 1200)
    distances = torch.cdist(vectors.double(), vectors.double())
    hits = 0
    for i in range(1200):
        others = [(distances[i, j].item(), j) for j in range(1200) if j != i]
        hits += int(labels[min(others)[1]] == labels[i])
    assert our_precision(vectors, labels) == pytest.approx(hits / 1200)
    assert their_precision(vectors, labels) == pytest.approx(hits / 1200)
    assert 0.5 < hits / 1200 < 1


def test_time_in_turns_then_time_and_memory_in_processes_of_their_own(
    setting: BenchSetting, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"ours": {"seconds": 2.0, "memory": 30e6}, "theirs": {"seconds": 4.0, "memory": 10e6}}
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, stdout=json.dumps(figures[arguments[3]]))

    monkeypatch.setattr(precision_speed.subprocess, "run", run)
    speed, tight, seconds, memory = PrecisionBench(setting=setting, timed=1100, bounded=2000).rows()
    assert (speed.direction, speed.goal, speed.part) == ("at least", 1.0, "P@1 of 1,100, scattered")
    assert tight.part == "P@1 of 1,100, in tight clusters"
    assert (seconds.ratio.median, seconds.direction) == (0.5, "at most")
    assert (memory.ratio.median, memory.ours, memory.theirs) == (3.0, "30.0 MB", "10.0 MB")
    assert [arguments[3] for arguments in asked] == ["ours", "theirs"] * 3
    assert asked[0] == [sys.executable, "-m", "tasks.bench.precision_speed", "ours", "2000", "1"]


def test_a_side_is_measured_alone(setting: BenchSetting) -> None:
    found = PrecisionBench(setting=setting, bounded=20_000)._alone("ours")
    assert found["seconds"] > 0
    # References in both precisions take 15 MB; all distances would take 3,200.
    assert 5e6 < found["memory"] < 400e6


def test_a_side_that_ends_is_named(setting: BenchSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = subprocess.CompletedProcess([], -9, stdout="")
    monkeypatch.setattr(precision_speed.subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(InputError, match=r"P@1 of 3,000 \(theirs\) ended with -9, most likely for memory"):
        PrecisionBench(setting=setting, bounded=3000)._alone("theirs")
