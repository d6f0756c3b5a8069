from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.bias import recombination_sheet
from tasks.bias.plan import RecombinationPlan
from tasks.bias.recombination_sheet import CARD, GAP, HEAD, INNER, MARGIN, STEP, TILE, TITLE, write_recombination_sheet
from tasks.bias.recombined_store import write_recombined_store
from tasks.explanation.sheet import enlarged
from tasks.segments.pictures import decode_image
from tasks.segments.store import SegmentStore, open_store


def test_each_card_shows_both_parents_and_the_sample(
    store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recombination_sheet, "EXAMPLES", 6)
    plan = RecombinationPlan(segment="badge", classes=("badge",), kind="other-label", seed=0)
    made = write_recombined_store(store, plan, tmp_path / "new")
    write_recombination_sheet(made, made.path / "sheet.png")
    sheet = np.moveaxis(np.asarray(Image.open(made.path / "sheet.png")), -1, 0)
    assert sheet.shape == (3, TITLE + 2 * STEP + MARGIN, 2 * MARGIN + 4 * CARD + 3 * GAP)

    rows = {row.image_id: row for row in made.iterate("train")}
    samples = [row for row in rows.values() if row.provenance and row.provenance.kind != "copy"]
    assert len(samples) < len(rows) - store.rows("train")  # the others are copies
    for card in range(6):
        sample = samples[card * len(samples) // 6]
        assert sample.provenance is not None
        shown = [rows[sample.provenance.receiver], rows[sample.provenance.donor], sample]
        top, left = TITLE + card // 4 * STEP + HEAD, MARGIN + card % 4 * (CARD + GAP)
        for row in shown:
            tile = enlarged(decode_image(row.image, "x"), TILE)
            np.testing.assert_array_equal(sheet[:, top : top + TILE, left : left + TILE], tile)
            left += TILE + INNER
    assert open_store(made.path).digest == made.digest  # the sheet is no part of it
