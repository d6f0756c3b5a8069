import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.explanation.explain import SegmentedPhoto, explain_pair
from tasks.explanation.search_photo import search_photo
from tasks.explanation.search_record import PhotoSearch, search_json
from tasks.metric import part_index
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row


@pytest.fixture
def copied(grown: Any, tmp_path: Path) -> SegmentStore:
    """The drawings in a folder of their own, with no index beside them."""
    shutil.copytree(grown.store.path, tmp_path / "store")
    return open_store(tmp_path / "store")


def photo_of(row: Row) -> SegmentedPhoto:
    return SegmentedPhoto(
        image=decode_image(row.image, "x"), label_map=decode_label_map(row.mask, "x"), name=row.image_path
    )


def brighter(photo: SegmentedPhoto) -> SegmentedPhoto:
    """A photo that is nearly, and not quite, one of the store."""
    return replace(photo, image=np.where(photo.image < 250, photo.image + 1, photo.image).astype(np.uint8))


def searched(grown: Any, store: SegmentStore, number: int, node: str = "badge", **given: Any) -> PhotoSearch:
    photo = brighter(photo_of(store.at([number])[0]))
    return search_photo(given.pop("trained", grown.trained), store, photo, node, decoded=grown.decoded, **given)


def test_what_is_found_has_its_own_facts(grown: Any, copied: SegmentStore) -> None:
    found = searched(grown, copied, 41, top=5, decision="own")
    assert (found.node, found.decision, found.distance) == ("badge", "own", "squared_euclidean")
    assert (found.name, found.left_out) == ("001.png", ())
    rows = {row.image_id: row for split in ("train", "validation") for row in copied.iterate(split)}
    assert len(found.found) == 5
    assert found.found[0].image_id == "validation-001"
    assert [photo.distance for photo in found.found] == sorted(photo.distance for photo in found.found)
    for photo in found.found:
        row = rows[photo.image_id]
        assert (photo.split, photo.label) == (row.split, row.label)
        np.testing.assert_array_equal(photo.shown.image, decode_image(row.image, "x"))
        np.testing.assert_array_equal(photo.shown.part, decode_label_map(row.mask, "x") == 2)
    # The badge's colour is the label's: the nearest badges are of its colour.
    assert {photo.label for photo in found.found} == {"night"}
    with_badge = sum((decode_label_map(row.mask, "x") == 2).any() for row in rows.values())
    assert found.images == with_badge < len(rows)


@pytest.mark.parametrize("loss", ["triplet", "ntxent", "snr"])
def test_bounded_distance_and_percentile_are_those_of_the_pair_s_explanation(
    grown: Any, copied: SegmentStore, loss: str
) -> None:
    trained = replace(grown.trained, options=replace(grown.trained.options, loss=loss))
    found = searched(grown, copied, 41, top=3, trained=trained)
    rows = {row.image_id: row for split in ("train", "validation") for row in copied.iterate(split)}
    query = brighter(photo_of(copied.at([41])[0]))
    for photo in found.found[1:]:  # the first is nearly the photo itself: rounding is most of its distance
        pair = explain_pair(trained, query, photo_of(rows[photo.image_id]))
        badge = next(node for node in pair.nodes if node.name == "badge")
        # Pictures are embedded one by one or many at once, which rounds differently.
        assert photo.bounded_distance == pytest.approx(badge.bounded_distance, rel=0.05, abs=1e-4)
        assert photo.percentile == pytest.approx(badge.percentile, abs=2)
        if loss == "snr":
            assert photo.distance == pytest.approx(badge.snr_distance, rel=0.05, abs=1e-4)


def test_the_composed_decision_has_a_percentile_at_the_root_only(grown: Any, copied: SegmentStore) -> None:
    trained = replace(grown.trained, decision="composed")
    root, figure = (searched(grown, copied, 41, node, trained=trained) for node in ("root", "figure"))
    query = brighter(photo_of(copied.at([41])[0]))
    rows = {row.image_id: row for split in ("train", "validation") for row in copied.iterate(split)}
    for found in (root, figure):
        assert (found.decision, found.distance) == ("composed", "composed")
        assert found.images == 56
        photo = found.found[3]
        pair = explain_pair(trained, query, photo_of(rows[photo.image_id]))
        node = next(node for node in pair.nodes if node.name == found.node)
        assert photo.distance == pytest.approx(node.composed_distance, rel=0.05, abs=1e-4)
        assert photo.bounded_distance is None
    closer = (trained.composed_quantiles <= root.found[3].distance).mean()
    assert root.found[3].percentile == pytest.approx(100 * closer, abs=0.3)
    assert all(photo.percentile is None for photo in figure.found)
    assert root.shown.picture is None and figure.shown.picture is not None


def test_the_photo_itself_is_left_out(grown: Any, copied: SegmentStore) -> None:
    query = photo_of(copied.at([41])[0])
    found = search_photo(grown.trained, copied, query, "badge", top=5, decoded=grown.decoded)
    assert found.left_out == ("validation-001",)
    assert len(found.found) == 5
    near = searched(grown, copied, 41, top=6).found
    assert "validation-001" not in {photo.image_id for photo in found.found}
    # The nearly equal photo's neighbours, less the photo: ones that lie equally far may change places.
    assert [photo.distance for photo in found.found] == pytest.approx([photo.distance for photo in near[1:]], rel=0.2)


def test_all_copies_of_the_photo_are_left_out(
    grown: Any, tmp_path: Path, make_store: Callable[..., SegmentStore]
) -> None:
    def copies(row: Row) -> Row:
        """Half of the training drawings are one."""
        return replace(first, image_id=row.image_id) if row.split == "train" and int(row.image_id[-3:]) < 20 else row

    first = next(grown.store.iterate("train"))
    store = make_store(tmp_path / "store", change=copies)
    found = search_photo(grown.trained, store, photo_of(first), "root", top=3, decoded=grown.decoded, decision="own")
    assert found.left_out == tuple(f"train-{number:03d}" for number in range(20))
    assert len(found.found) == 3
    assert not {photo.image_id for photo in found.found} & set(found.left_out)


def test_a_search_for_more_than_there_are_gives_them_all(grown: Any, copied: SegmentStore) -> None:
    found = searched(grown, copied, 41, top=500)
    assert len(found.found) == found.images
    query = photo_of(copied.at([41])[0])
    assert (
        len(search_photo(grown.trained, copied, query, "badge", top=500, decoded=grown.decoded).found)
        == found.images - 1
    )
    for top in (0, 501):
        with pytest.raises(InputError, match=f"a search gives 1 to 500 photos; got {top}"):
            searched(grown, copied, 41, top=top)


def test_the_second_search_embeds_no_image_of_the_store(
    grown: Any, copied: SegmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = searched(grown, copied, 41)

    def no_more(*_: Any) -> torch.Tensor:
        raise AssertionError("an image of the store was embedded again")

    monkeypatch.setattr(part_index, "embed", no_more)
    assert search_json(searched(grown, copied, 41)) == search_json(first)
    with pytest.raises(AssertionError, match="embedded again"):
        searched(grown, copied, 41, "body")


@pytest.mark.parametrize(("node", "decision"), [("badge", "own"), ("figure", "composed")])
def test_a_photo_without_the_part_is_refused(grown: Any, copied: SegmentStore, node: str, decision: str) -> None:
    photo = photo_of(copied.at([41])[0])
    bare = replace(photo, label_map=np.where(photo.label_map == 3, 3, 0).astype(np.uint8))
    with pytest.raises(InputError, match=rf"001\.png does not show '{node}', .*; it shows: ground, spot"):
        search_photo(grown.trained, copied, bare, node, decoded=grown.decoded, decision=decision)  # type: ignore[arg-type]


def test_a_photo_with_one_of_two_parts_is_searched_for_by_both(grown: Any, copied: SegmentStore) -> None:
    photo = photo_of(copied.at([41])[0])
    bare = replace(photo, label_map=np.minimum(photo.label_map, 1))
    found = search_photo(grown.trained, copied, bare, "figure", decoded=grown.decoded, decision="composed", top=2)
    assert {photo.image_id for photo in found.found} <= {
        row.image_id for row in copied.iterate("train") if not (decode_label_map(row.mask, "x") == 2).any()
    }


def test_unknown_and_degenerate_nodes_are_refused(grown: Any, copied: SegmentStore) -> None:
    with pytest.raises(InputError, match="no node 'beard'; it has: body, badge"):
        searched(grown, copied, 41, "beard")
    with pytest.raises(InputError, match="degenerate: 5 training images"):
        searched(grown, copied, 41, "spot")


def test_plain_values_tell_rank_and_place(grown: Any, copied: SegmentStore) -> None:
    found = searched(grown, copied, 41, top=2)
    values = search_json(found)
    assert (values["photo"], values["images"], values["left_out"]) == ("001.png", found.images, [])
    first = found.found[0]
    assert values["found"][0] == {
        "rank": 1,
        "image_id": "validation-001",
        "split": "validation",
        "label": "night",
        "distance": first.distance,
        "bounded_distance": first.bounded_distance,
        "percentile": first.percentile,
    }
    assert [photo["rank"] for photo in values["found"]] == [1, 2]
