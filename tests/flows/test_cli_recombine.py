import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from tasks.errors import InputError
from tasks.segments.store import SegmentStore, open_store

PLAN: dict[str, Any] = {"segment": "badge", "classes": ["badge"], "kind": "other-label", "seed": 0}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # the command sets it


def heml_recombine(store: Path, plan: Any, folder: Path) -> Result:
    (folder / "bias.json").write_text(json.dumps(plan))
    given = ["--store", str(store), "--plan", str(folder / "bias.json"), "--out", str(folder / "new")]
    return CliRunner().invoke(app, ["recombine", *given])


def test_new_samples_are_written_told_and_drawn(store: SegmentStore, tmp_path: Path) -> None:
    done = heml_recombine(store.path, {"plan": PLAN}, tmp_path)
    assert done.exit_code == 0, done.output
    made = open_store(tmp_path / "new")
    new = [row for row in made.iterate("train") if row.provenance and row.provenance.kind != "copy"]
    assert done.output.splitlines() == [
        f"{len(new)} synthetic training samples (other-label, badge) in {tmp_path / 'new'}",
        f"examples: {tmp_path / 'new' / 'sheet.png'}",
    ]
    assert made.rows("train") == 40 + len(new) + 2  # copies of held-out photos
    assert (tmp_path / "new" / "sheet.png").is_file()


def test_wrong_input_is_refused(store: SegmentStore, tmp_path: Path) -> None:
    for plan, said in (
        ({"plan": None}, "found no shortcut"),
        ({**PLAN, "kind": "mix"}, "choose from other-label, same-label, balance-group"),
        ({**PLAN, "classes": ["beard"]}, "it has: badge, body, ground, spot"),
    ):
        done = heml_recombine(store.path, plan, tmp_path)
        assert isinstance(done.exception, InputError), done.output
        assert said in str(done.exception)
    done = heml_recombine(tmp_path, PLAN, tmp_path)
    assert isinstance(done.exception, InputError)
    assert not (tmp_path / "new").exists()
