from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.bias.resampled_store import write_reweighted_store, write_subsampled_store
from tasks.bias.training_photos import training_photos
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import training_data
from tasks.segments.store import SegmentStore

SEED = 2


def groups_of(store: SegmentStore) -> list[str]:
    """Of 20 drawings of each label: "rare" are 5 of day's, 10 of night's."""
    return ["rare" if number % (8, 4)[number % 2] < 2 else "often" for number in range(store.rows("train"))]


def cells(store: SegmentStore, rows: list[tuple[str, bool]]) -> Counter[tuple[bool, str, str]]:
    groups = dict(zip(store.columns("train", ["image_id"])["image_id"], groups_of(store), strict=True))
    labels = dict(zip(groups, store.columns("train", ["label"])["label"], strict=True))
    return Counter((held_out, labels[name], groups[name]) for name, held_out in rows)


def photos_of(store: SegmentStore) -> list[tuple[str, bool]]:
    photos = training_photos(store, SEED)
    return list(zip(photos.image_ids, photos.held_out.tolist(), strict=True))


def test_subsampled_cells_are_as_large_as_the_smallest(store: SegmentStore, tmp_path: Path) -> None:
    made = write_subsampled_store(store, groups_of(store), SEED, tmp_path / "new")
    rows = list(made.iterate("train"))
    before = cells(store, photos_of(store))
    sources = [(row.provenance.receiver, row.provenance.held_out) for row in rows if row.provenance]
    after = cells(store, sources)
    for side in (False, True):
        least = min(count for (own, _, _), count in before.items() if own == side)
        assert all(after[cell] == least for cell in before if cell[0] == side)
    assert len(sources) == len(rows) == len(set(sources))
    assert set(sources) <= set(photos_of(store))
    originals = {row.image_id: row for row in store.iterate("train")}
    for place, row in enumerate(rows):
        assert row.provenance is not None
        name = row.provenance.receiver
        assert row == replace(originals[name], image_id=f"copy-{place:05d}-of-{name}", provenance=row.provenance)
        assert (row.provenance.kind, row.provenance.donor, row.provenance.seed) == ("copy", name, SEED)
    assert list(made.iterate("validation")) == list(store.iterate("validation"))


def test_reweighted_cells_are_as_large_as_the_largest(store: SegmentStore, tmp_path: Path) -> None:
    made = write_reweighted_store(store, groups_of(store), SEED, tmp_path / "new")
    rows = list(made.iterate("train"))
    assert rows[:40] == list(store.iterate("train"))
    copies = [(row.provenance.receiver, row.provenance.held_out) for row in rows[40:] if row.provenance]
    assert len(copies) == len(rows) - 40
    assert set(copies) <= set(photos_of(store))
    before, after = cells(store, photos_of(store)), cells(store, photos_of(store) + copies)
    trained_on = [cell for cell in before if not cell[0]]
    assert all(after[cell] == max(before[cell] for cell in trained_on) for cell in trained_on)
    # Photos of a cell are repeated equally often, give or take one.
    times = Counter(copies)
    for cell in trained_on:
        own = [times[row] for row in photos_of(store) if row in cells_rows(store, cell)]
        assert max(own) - min(own) <= 1


def test_held_out_photos_are_not_repeated_but_copied_as_often_as_the_smallest_cell_has_them(
    make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", train=120)
    made = write_reweighted_store(store, groups_of(store), SEED, tmp_path / "new")
    copies = [row.provenance for row in made.iterate("train") if row.provenance and row.provenance.held_out]
    names = [copy.receiver for copy in copies]
    assert len(set(names)) == len(names)
    before = cells(store, [(name, held_out) for name, held_out in photos_of(store) if held_out])
    assert len(set(before.values())) > 1
    assert cells(store, [(name, True) for name in names]) == dict.fromkeys(before, min(before.values()))


def cells_rows(store: SegmentStore, cell: tuple[bool, str, str]) -> set[tuple[str, bool]]:
    return {row for row in photos_of(store) if cells(store, [row])[cell]}


def test_no_photo_is_on_both_sides(store: SegmentStore, tmp_path: Path) -> None:
    options = TrainingOptions(trunk="small", size=16, seed=77)
    for write in (write_subsampled_store, write_reweighted_store):
        made = write(store, groups_of(store), SEED, tmp_path / write.__name__)
        data = training_data(made, None, options, tmp_path / "decoded")
        sides = [
            {row.provenance.receiver if row.provenance else row.image_id for row in made.at(view.indices.tolist())}
            for view in (data.train, data.held_out)
        ]
        assert sides[1] and not sides[0] & sides[1]
        assert len(sides[1]) == len(data.held_out)  # no photo twice
        held_out = {name for name, side in photos_of(store) if side}
        assert sides[1] <= held_out and not sides[0] & held_out


def test_each_photo_needs_a_group(store: SegmentStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="each of the 40 training photos needs a group; got 39"):
        write_subsampled_store(store, groups_of(store)[1:], SEED, tmp_path / "new")
