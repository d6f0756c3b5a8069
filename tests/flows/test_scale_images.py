"""The measuring of steps, on a few images: each figure is there, and agrees with what the step left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.scale_images import STEPS
from tasks.segments.store import open_store


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.server
def test_all_steps_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEML_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HEML_ENGINE", "threads")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    folder = tmp_path / "scale"
    done = subprocess.run(
        [sys.executable, "-m", "flows.scale_images", str(folder), "--images", "500"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    machine, *steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert machine["machine"]
    assert [(one["step"], one["prepared"]) for one in steps] == [(step, 500) for step in STEPS]
    prepared, decoded, trained, judged = steps
    store = open_store(folder / "store")
    assert (store.rows("train"), store.rows("validation")) == (400, 100)
    assert prepared["disk"] == sum(path.stat().st_size for path in (folder / "store").rglob("*.parquet"))
    assert decoded["disk"] > 500 * 4 * 48 * 48  # three colours and the label, a byte each
    assert trained["train_images"] == 360  # a tenth is held out
    assert judged["images"] == 100
    assert judged["precision_at_1"] == trained["precision_at_1"]
    for one in steps:
        assert one["peak"]["anonymous"] >= one["own_peak"]["anonymous"] > 50 << 20  # Python with torch
        assert one["seconds"] > 0
        assert one["cpu"] > 1
