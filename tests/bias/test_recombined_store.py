from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.bias import derived_store, recombined_store
from tasks.bias.exchange import Picture, exchange_segment
from tasks.bias.partners import store_pairs
from tasks.bias.plan import RecombinationPlan
from tasks.bias.recombined_store import write_recombined_store
from tasks.bias.training_photos import held_out_halves, training_photos
from tasks.errors import InputError
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import training_data
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.provenance import PlanKind, Provenance
from tasks.segments.shard_writer import shard_path
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row, describe_segments

PLAN = RecombinationPlan(segment="badge", classes=("badge",), kind="other-label", seed=5)


def picture(row: Row) -> Picture:
    return Picture(decode_image(row.image, "x"), decode_label_map(row.mask, "x"))


@pytest.mark.parametrize("kind", ["other-label", "same-label", "balance-group"])
def test_every_sample_can_be_walked_back_and_made_again(
    kind: PlanKind, make_store: Callable[..., SegmentStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "store", change=lambda row: replace(row, group=row.group or "right"))
    monkeypatch.setattr(derived_store, "PHOTOS_A_SHARD", 15)  # shards of photos, of both, and of samples
    plan = replace(PLAN, kind=kind)
    made = write_recombined_store(store, plan, tmp_path / "new")
    photos = {row.image_id: row for row in store.iterate("train")}
    rows = list(made.iterate("train"))
    assert rows[:40] == list(photos.values())
    assert list(made.iterate("validation")) == list(store.iterate("validation"))
    assert (made.source, made.classes, made.segmenter) == (store.source, store.classes, None)
    assert made.notes == {**store.notes, "recombined": plan.to_dict()}

    drawn = training_photos(store, plan.seed)
    copied = held_out_halves(drawn, plan.seed)[0].tolist()
    assert len(copied) == 2
    for place, (number, row) in enumerate(zip(copied, rows[-2:], strict=True)):
        name = drawn.image_ids[number]
        copy = Provenance(kind="copy", segment="", receiver=name, donor=name, seed=5, held_out=True)
        assert row == replace(photos[name], image_id=f"copy-{place:05d}-of-{name}", provenance=copy)
    names, sides = drawn.image_ids, dict(zip(drawn.image_ids, drawn.held_out.tolist(), strict=True))
    pairs = [(names[receiver], names[donor]) for receiver, donor in store_pairs(store, drawn, plan)]
    assert len(pairs) == len(rows) - 40 - 2 > 0
    for number, row in enumerate(rows[40:-2]):
        assert row.provenance is not None
        assert (row.provenance.receiver, row.provenance.donor) == pairs[number]
        receiver, donor = photos[row.provenance.receiver], photos[row.provenance.donor]
        again = exchange_segment(picture(receiver), picture(donor), (2,))
        np.testing.assert_array_equal(picture(row).image, again.image)
        np.testing.assert_array_equal(picture(row).label_map, again.label_map)
        assert row.segments == describe_segments(again.label_map, store.classes)
        assert row.image_id == f"synthetic-{kind}-badge-{number:05d}"
        assert (row.split, row.label) == ("train", receiver.label)
        assert row.group == (donor.group if kind == "balance-group" else None)
        assert (row.provenance.kind, row.provenance.segment, row.provenance.seed) == (kind, "badge", 5)
        assert row.provenance.held_out == sides[receiver.image_id] == sides[donor.image_id]


def test_the_photos_held_out_are_those_of_the_store_it_came_from(store: SegmentStore, tmp_path: Path) -> None:
    made = write_recombined_store(store, PLAN, tmp_path / "new")
    options = TrainingOptions(trunk="small", size=16, seed=PLAN.seed)
    before = training_data(store, None, options, tmp_path / "decoded")
    for seed in (PLAN.seed, 99):  # the store's own seed decides, not that of the training
        after = training_data(made, None, replace(options, seed=seed), tmp_path / "decoded")
        for old, new in ((before.train, after.train), (before.held_out, after.held_out)):
            names = {old.data.image_ids[index] for index in old.indices}
            rows = made.at(new.indices.tolist())
            assert {row.image_id for row in rows if row.provenance is None} == (names if old is before.train else set())
            parents = {name for row in rows if (p := row.provenance) for name in (p.receiver, p.donor)}
            assert parents and parents <= names
        assert len(after.train) + len(after.held_out) + len(before.held_out) == made.rows("train")


@pytest.mark.parametrize("kind", ["other-label", "same-label", "balance-group"])
def test_no_two_rows_that_are_judged_by_share_a_parent(
    kind: PlanKind, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", train=160, change=lambda row: replace(row, group=row.group or "right"))
    made = write_recombined_store(store, replace(PLAN, kind=kind), tmp_path / "new")
    options = TrainingOptions(trunk="small", size=16)
    judged = made.at(training_data(made, None, options, tmp_path / "decoded").held_out.indices.tolist())
    sources = [row.provenance for row in judged if row.provenance]
    assert len(sources) == len(judged) > 8
    assert {source.kind for source in sources} == {"copy", kind}
    for role in ("receiver", "donor"):
        names = [getattr(source, role) for source in sources]
        assert len(set(names)) == len(names)
    copied = {source.receiver for source in sources if source.kind == "copy"}
    assert len(copied) == 8
    assert not copied & {name for s in sources if s.kind == kind for name in (s.receiver, s.donor)}


def test_a_second_run_makes_what_is_missing(
    store: SegmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived_store, "PHOTOS_A_SHARD", 15)
    out = tmp_path / "new"
    whole = write_recombined_store(store, PLAN, out)
    paths = [path for path, _ in whole.shards]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
    lost = shard_path(out, "train", 2)
    lost.unlink()
    (out / "sheet.png").write_bytes(b"beside the shards")
    assert write_recombined_store(store, PLAN, out).digest == whole.digest
    assert {path.read_bytes() for path in paths} == {content for content, _ in before.values()}
    assert [path for path in paths if path.stat().st_mtime_ns != before[path][1]] == [lost]

    def fail(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(recombined_store, "exchange_segment", fail)
    assert write_recombined_store(store, PLAN, out).digest == whole.digest


def test_no_other_store_is_written_over(
    store: SegmentStore, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    own = make_store(tmp_path / "own")
    with pytest.raises(InputError, match="is the store that the new one is made from"):
        write_recombined_store(own, PLAN, tmp_path / "own" / ".." / "own")
    with pytest.raises(InputError, match="holds another store"):
        write_recombined_store(store, PLAN, own.path)
    made = write_recombined_store(store, PLAN, tmp_path / "new")
    with pytest.raises(InputError, match="holds another store"):
        write_recombined_store(store, replace(PLAN, seed=6), made.path)
    assert own.digest == make_store(tmp_path / "again").digest
    with pytest.raises(InputError, match=r"40 rows of the store .* are no photos"):
        write_recombined_store(made, PLAN, tmp_path / "twice")


def test_the_segmenter_comes_along(make_store: Callable[..., SegmentStore], tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", train=8, validation=2)
    (tmp_path / "store" / "segmenter").mkdir()
    (tmp_path / "store" / "segmenter" / "config.json").write_text("{}")
    made = write_recombined_store(store, PLAN, tmp_path / "new")
    assert made.segmenter is not None
    assert (made.segmenter / "config.json").read_text() == "{}"


def test_a_class_that_the_store_lacks_is_named_before_anything_is_written(store: SegmentStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names the class 'beard'"):
        write_recombined_store(store, replace(PLAN, classes=("beard",)), tmp_path / "new")
    assert not (tmp_path / "new").exists()
