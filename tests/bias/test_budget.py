from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.bias.budget import equal_epochs, trained_images
from tasks.segments.provenance import Provenance
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row


@pytest.fixture
def derived(make_store: Callable[..., SegmentStore], tmp_path: Path) -> SegmentStore:
    """40 photos, 36 of which show a badge; 36 rows that are none, of which 4 are held out."""

    def change(row: Row) -> Row:
        number = int(row.image_id.split("-")[1])
        if row.split == "validation" or number < 40:
            return row
        made = Provenance(kind="copy", segment="", receiver="x", donor="x", seed=0, held_out=number >= 72)
        return replace(row, provenance=made)

    return make_store(tmp_path / "derived", train=76, change=change)


def test_rows_that_are_held_out_do_not_count(grown: Any, derived: SegmentStore) -> None:
    assert trained_images(grown.store, grown.tree["root"]) == pytest.approx(36)
    assert trained_images(derived, grown.tree["root"]) == pytest.approx(36 + 32)
    # Of 40 to 71, 58 and 59 lack a badge.
    assert trained_images(derived, grown.tree["badge"]) == pytest.approx(0.9 * 36 + 30)


def test_the_steps_stay_as_many(grown: Any, derived: SegmentStore) -> None:
    assert equal_epochs(17, grown.store, derived, grown.tree["root"]) == round(17 * 36 / 68)
    assert equal_epochs(17, grown.store, grown.store, grown.tree["badge"]) == 17
    assert equal_epochs(1, grown.store, derived, grown.tree["root"]) == 1
