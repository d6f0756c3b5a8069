"""An audit as a Prefect flow: one task a cross-fit, the report as files, artifacts and in the tracking store."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows import audit_bias as flow_module
from flows.audit_bias import audit_bias, largest_shortcut
from flows.parameters import AuditParameters
from infra.tracking import open_tracker
from tasks.errors import InputError
from tests.flows.command_line import Heml
from tests.memory_tracker import MemoryTracker


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = {"HOME": str(tmp_path / "home"), "ENGINE": "threads", "DEVICE": "cpu", "MLFLOW_URI": "memory:audit"}
    for name, value in settings.items():
        monkeypatch.setenv(f"HEML_{name}", value)
    return tmp_path


@pytest.mark.server
def test_the_report_is_written_tracked_and_resumed(
    prefect_server: str, grown: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"model": str(grown.trained.path), "store": grown.store.path, "out": home / "out", "photos": 4}
    parameters = AuditParameters.model_validate(given)
    said: list[str] = []
    monkeypatch.setattr(flow_module, "say", said.append)

    def run() -> dict[str, Any]:
        found: dict[str, Any] = audit_bias.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))(parameters)
        return found

    report = run()
    shapes = ["body: shape only", "badge: shape only", "spot: shape only"]
    names = ["body", "badge", "spot", "background only", *shapes]
    assert [line.split("] ")[1].split(":")[0] for line in said[:7]] == [name.split(":")[0] for name in names]
    assert said[2].endswith("spot: not trainable")
    written = json.loads((home / "out" / "bias.json").read_text())
    assert written == json.loads(json.dumps(report))
    assert {segment["segment"] for segment in written["segments"]} == {"body", "badge", "spot"}
    badge = next(segment for segment in written["segments"] if segment["segment"] == "badge")
    assert badge["look"]["train"]["value"] > 0.9 and badge["shape"] is not None
    assert (written["group"], written["plan"]) == ("group", None)
    page = (home / "out" / "bias.html").read_text()
    assert "badge" in page and "<script src" not in page
    assert "badge" in (home / "out" / "bias.md").read_text()
    tracker = open_tracker("memory:audit")
    assert isinstance(tracker, MemoryTracker)
    (kept,) = tracker.runs.values()
    assert kept.status == "FINISHED"
    assert {"bias/bias.html", "bias/bias.json", "bias/bias.md"} <= set(kept.artifacts)
    assert run() == report  # nothing is trained again, and the same is found


def test_what_cannot_be_grouped_by_is_said(heml: Heml, grown: Any, home: Path) -> None:
    given = {"model": str(grown.trained.path), "store": str(grown.store.path), "out": str(home / "out")}
    arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
    heml("audit", *arguments, "--fail-above", 7).refused("--fail-above needs a share, 0 to 1; got 7")
    with pytest.raises(InputError, match="no group 'nose'"):
        audit_bias.fn(AuditParameters.model_validate({**given, "group": "nose"}))


def test_only_shortcuts_count_for_the_threshold() -> None:
    segments = [
        {"segment": "hair", "score": 0.3, "reasons": []},
        {"segment": "hat", "score": 0.2, "reasons": ["it is one"]},
    ]
    assert largest_shortcut({"segments": segments}) == 0.2
    assert largest_shortcut({"segments": segments[:1]}) == 0


@pytest.mark.parametrize(("drop", "code"), [(0.2, 1), (0.05, 0)])
def test_the_command_ends_with_1_above_the_threshold(
    heml: Heml, home: Path, grown: Any, monkeypatch: pytest.MonkeyPatch, drop: float, code: int
) -> None:
    class Found:
        def with_options(self, **_: object) -> Any:
            return lambda _: {"segments": [{"segment": "hat", "score": drop, "reasons": ["it is one"]}]}

    monkeypatch.setattr(flow_module, "audit_bias", Found())
    monkeypatch.setattr("flows.terminal.prefect_at_terminal", _nothing)
    done = heml(
        "audit", "--model", grown.trained.path, "--store", grown.store.path, "--out", home / "out", "--fail-above", 0.1
    )
    assert done.code == code, done.err


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
