import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row
from tests.flows.command_line import Heml


@pytest.fixture
def files(grown: Any, tmp_path: Path) -> Path:
    """A folder with the drawings' store, a photo that is in it, and the photo's mask."""
    shutil.copytree(grown.store.path, tmp_path / "store")
    row = list(grown.store.iterate("validation"))[1]
    (tmp_path / "a.png").write_bytes(row.image)
    (tmp_path / "mask.png").write_bytes(row.mask)
    return tmp_path


@pytest.fixture
def search(heml: Heml, grown: Any, files: Path) -> Heml:
    """Asks for the photo in `files` with the trained tree of the drawings."""
    shared = ("--model", grown.trained.path, "--store", files / "store", "--out", files / "out")
    return lambda *given: heml("search", files / "a.png", *shared, *given)


def test_the_nearest_photos_are_told_and_drawn(search: Heml, files: Path) -> None:
    mask = ("--mask", str(files / "mask.png"))
    done = search(*mask, "--node", "badge", "--top", "3").done()
    written = json.loads((files / "out" / "search.json").read_text())
    opening, *lines = done.out.splitlines()
    assert opening.startswith("opening ")
    assert [line.split()[0] for line in lines[:3]] == ["1", "2", "3"]
    assert [line.split()[2:] for line in lines[:3]] == [
        [found["image_id"], found["label"]] for found in written["found"]
    ]
    assert "badge, own decision" in lines[3] and str(files / "out" / "search.png") in lines[3]
    assert (files / "out" / "search.png").is_file()
    assert (files / "store.index").is_dir()
    assert written["left_out"] == ["validation-001"]

    for decision, distance in (("own", "squared_euclidean"), ("composed", "composed")):
        done = search(*mask, "--node", "root", "--decision", decision).done()
        written = json.loads((files / "out" / "search.json").read_text())
        assert (written["decision"], written["distance"], len(written["found"])) == (decision, distance, 12)


def test_wrong_input_is_refused(search: Heml, files: Path) -> None:
    mask = ("--mask", str(files / "mask.png"))
    search(*mask, "--node", "beard").refused("it has: body, badge, figure, spot, root")
    search(*mask, "--node", "spot").refused("8 are needed")
    search("--node", "badge").refused("give --mask")
    search(*mask, "--node", "badge", "--decision", "both").refused("own, composed, auto")
    search(*mask, "--node", "badge", "--decision", "composed").refused("--decision own")
    search(*mask, "--node", "badge", "--top", "0").refused("1 to 500")
    search(*mask, "--node", "badge", "--store", str(files)).refused("heml prepare")
    search(*mask, "--node", "badge", "--model", str(files)).refused("no trained tree at")
    assert not (files / "out").exists()


def test_names_cannot_command_the_terminal(search: Heml, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = SegmentStore.at

    def renamed(store: SegmentStore, numbers: list[int]) -> list[Row]:
        return [replace(row, image_id="\x1b[2J<b>$x$", label="a\nb") for row in at(store, numbers)]

    monkeypatch.setattr(SegmentStore, "at", renamed)
    done = search("--mask", str(files / "mask.png"), "--node", "badge", "--top", "2").done()
    assert "\x1b" not in done.out
    assert "[2J<b>$x$  a b" in done.out
