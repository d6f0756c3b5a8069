import json
from pathlib import Path
from typing import Any

import pytest

from tasks.segments.store import SegmentStore, open_store
from tests.flows.command_line import Ended, Heml

PLAN: dict[str, Any] = {"segment": "badge", "classes": ["badge"], "kind": "other-label", "seed": 0}


@pytest.fixture
def recombine(heml: Heml, tmp_path: Path) -> Heml:
    """Makes the new samples of a plan, in the folder `new`."""

    def run(store: Path, plan: Any) -> Ended:
        (tmp_path / "bias.json").write_text(json.dumps(plan))
        return heml("recombine", "--store", store, "--plan", tmp_path / "bias.json", "--out", tmp_path / "new")

    return run


def test_new_samples_are_written_told_and_drawn(recombine: Heml, store: SegmentStore, tmp_path: Path) -> None:
    done = recombine(store.path, {"plan": PLAN}).done()
    made = open_store(tmp_path / "new")
    new = [row for row in made.iterate("train") if row.provenance and row.provenance.kind != "copy"]
    assert done.out.splitlines() == [
        f"{len(new)} synthetic training samples (other-label, badge) in {tmp_path / 'new'}",
        f"examples: {tmp_path / 'new' / 'sheet.png'}",
    ]
    assert made.rows("train") == 40 + len(new) + 2  # copies of held-out photos
    assert (tmp_path / "new" / "sheet.png").is_file()


def test_wrong_input_is_refused(recombine: Heml, store: SegmentStore, tmp_path: Path) -> None:
    for plan, said in (
        ({"plan": None}, "found no shortcut"),
        ({**PLAN, "kind": "mix"}, "choose from other-label, same-label, balance-group"),
        ({**PLAN, "classes": ["beard"]}, "it has: badge, body, ground, spot"),
    ):
        recombine(store.path, plan).refused(said)
    recombine(tmp_path, PLAN).refused("heml prepare")
    assert not (tmp_path / "new").exists()
