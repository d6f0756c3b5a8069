from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.segments.export import export_node
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row
from tasks.segments.tree import SegmentTree

LABELS = {"day": "../../day", "night": "/etc/night"}


def test_each_photo_that_shows_the_part_is_written_under_its_label(
    store: SegmentStore, tree: SegmentTree, tmp_path: Path
) -> None:
    written = export_node(store, tree["spot"], "black", tmp_path)
    expected = {}
    for split in ("train", "validation"):
        for row in store.iterate(split):
            shown = decode_label_map(row.mask, "x") == 3
            if shown.any():
                place = f"{split}/{row.label}/{row.image_id}.png"
                expected[place] = decode_image(row.image, "x") * shown
    found = {str(path.relative_to(tmp_path)): decode_image(path.read_bytes(), "x") for path in tmp_path.rglob("*.png")}
    assert written == len(found) == len(expected) > 10
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_names_from_a_stranger_s_store_stay_in_the_folder(
    make_store: Callable[..., SegmentStore], tree: SegmentTree, tmp_path: Path
) -> None:
    names = ("../../x", "/etc/x", "a/b", "a_b", "x" * 300, "x" * 301, "..", ".")

    def renamed(row: Row) -> Row:
        number = int(row.image_id.split("-")[1])
        return replace(row, image_id=names[number] if number < len(names) else row.image_id, label=LABELS[row.label])

    home = tmp_path / "home"
    strange = make_store(home / "a" / "store", change=renamed)
    out = home / "a" / "b" / "out"
    written = export_node(strange, tree.root, "black", out)
    assert written == 56  # all of them, so no two became one
    assert len(list(out.rglob("*.png"))) == 56
    assert {path.name for path in out.iterdir()} == {"train", "validation"}
    assert {path.name for path in home.iterdir()} == {"a"}
    assert {path.name for path in (home / "a").iterdir()} == {"store", "b"}
    assert {path.name for path in (home / "a" / "b").iterdir()} == {"out"}


def test_an_unknown_fill_or_framing_is_named(store: SegmentStore, tree: SegmentTree, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown fill 'red': one of black"):
        export_node(store, tree.root, "red", tmp_path)
    with pytest.raises(InputError, match="unknown framing 'wide': one of full, crop"):
        export_node(store, tree.root, "black", tmp_path, framing="wide")
