import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from tasks.errors import InputError
from tasks.segments.store import Row, SegmentStore


@pytest.fixture
def files(grown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the drawings' store, a photo that is in it, and the photo's mask."""
    # The command sets these in the environment: put back what was there.
    for name in ("HEML_HOME", "HEML_DEVICE", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"):
        monkeypatch.setenv(name, {"HEML_HOME": str(tmp_path / "home"), "HEML_DEVICE": "cpu"}.get(name, "CRITICAL"))
    shutil.copytree(grown.store.path, tmp_path / "store")
    row = list(grown.store.iterate("validation"))[1]
    (tmp_path / "a.png").write_bytes(row.image)
    (tmp_path / "mask.png").write_bytes(row.mask)
    return tmp_path


def heml_search(grown: Any, files: Path, *given: str) -> Result:
    shared = ["--model", str(grown.trained.path), "--store", str(files / "store"), "--out", str(files / "out")]
    return CliRunner().invoke(app, ["search", str(files / "a.png"), *shared, *given])


def refused(done: Result, said: str) -> None:
    assert isinstance(done.exception, InputError), done.output
    assert said in str(done.exception)


def test_the_nearest_photos_are_told_and_drawn(grown: Any, files: Path) -> None:
    mask = ("--mask", str(files / "mask.png"))
    done = heml_search(grown, files, *mask, "--node", "badge", "--top", "3")
    assert done.exit_code == 0, done.output
    written = json.loads((files / "out" / "search.json").read_text())
    lines = done.output.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["1", "2", "3"]
    assert [line.split()[2:] for line in lines[:3]] == [
        [found["image_id"], found["label"]] for found in written["found"]
    ]
    assert "badge, own decision" in lines[3] and str(files / "out" / "search.png") in lines[3]
    assert (files / "out" / "search.png").is_file()
    assert (files / "store.index").is_dir()
    assert written["left_out"] == ["validation-001"]

    for decision, distance in (("own", "squared_euclidean"), ("composed", "composed")):
        done = heml_search(grown, files, *mask, "--node", "root", "--decision", decision)
        assert done.exit_code == 0, done.output
        written = json.loads((files / "out" / "search.json").read_text())
        assert (written["decision"], written["distance"], len(written["found"])) == (decision, distance, 12)


def test_wrong_input_is_refused(grown: Any, files: Path) -> None:
    mask = ("--mask", str(files / "mask.png"))
    refused(heml_search(grown, files, *mask, "--node", "beard"), "it has: body, badge, figure, spot, root")
    refused(heml_search(grown, files, *mask, "--node", "spot"), "8 are needed")
    refused(heml_search(grown, files, "--node", "badge"), "give --mask")
    refused(heml_search(grown, files, *mask, "--node", "badge", "--decision", "both"), "own, composed, auto")
    refused(heml_search(grown, files, *mask, "--node", "badge", "--decision", "composed"), "--decision own")
    refused(heml_search(grown, files, *mask, "--node", "badge", "--top", "0"), "1 to 500")
    refused(heml_search(grown, files, *mask, "--node", "badge", "--store", str(files)), "heml prepare")
    refused(heml_search(grown, files, *mask, "--node", "badge", "--model", str(files)), "not a trained tree")
    assert not (files / "out").exists()


def test_names_cannot_command_the_terminal(grown: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = SegmentStore.at

    def renamed(store: SegmentStore, numbers: list[int]) -> list[Row]:
        return [replace(row, image_id="\x1b[2J<b>$x$", label="a\nb") for row in at(store, numbers)]

    monkeypatch.setattr(SegmentStore, "at", renamed)
    done = heml_search(grown, files, "--mask", str(files / "mask.png"), "--node", "badge", "--top", "2")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "[2J<b>$x$  a b" in done.output
