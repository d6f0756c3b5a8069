from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.metric import training_data as module
from tasks.metric.batches import held_out
from tasks.metric.options import TrainingOptions
from tasks.metric.training_data import NodeView, held_out_rows, node_view, trained_rows, training_data
from tasks.segments.decoded import DecodedSplit, Side, decode
from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.shard_writer import write_shard
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row, describe_segments

OPTIONS = TrainingOptions(trunk="small", size=16)
CLASSES = {0: "ground", 1: "part"}


def counted_store(folder: Path, part: dict[str, int], total: int) -> SegmentStore:
    """16 x 16 pictures: of each label `total` in both splits, of which `part` show a part of 4 x 8 pixels."""
    for split in ("train", "validation"):
        rows = []
        for label, count in part.items():
            for number in range(total):
                label_map = np.zeros((16, 16), dtype=np.uint8)
                label_map[4:8, 2:10] = number < count
                rows.append(
                    Row(
                        image_id=f"{split}-{label}-{number}",
                        split=split,
                        label=label,
                        group=None,
                        image=encode_image(np.full((3, 16, 16), 10 + number, dtype=np.uint8)),
                        image_path="x.png",
                        mask=encode_label_map(label_map),
                        segments=describe_segments(label_map, CLASSES),
                    )
                )
        write_shard(folder, split, rows, source="counted", classes=CLASSES, key="k", part=0, parts=1)
    return open_store(folder)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"a": 8, "b": 8}, ""),
        ({"a": 7, "b": 20}, "7 training images of the label 'a' show it; 8 are needed"),
        ({"a": 20, "b": 7}, "7 training images of the label 'b' show it; 8 are needed"),
        ({"a": 20, "b": 0}, "0 training images of the label 'b' show it; 8 are needed"),
        ({"a": 0, "b": 0}, "0 training images of the label 'a' show it; 8 are needed"),
        ({"a": 9, "b": 10, "c": 3}, "3 training images of the label 'c' show it; 8 are needed"),
    ],
)
def test_a_node_needs_8_training_images_of_every_label(part: dict[str, int], reason: str, tmp_path: Path) -> None:
    store = counted_store(tmp_path / "store", part, total=20)
    assert training_data(store, (1,), OPTIONS, tmp_path / "decoded").degenerate == reason
    assert training_data(store, None, OPTIONS, tmp_path / "decoded").degenerate == ""
    blank = replace(OPTIONS, absent="blank")
    assert training_data(store, (1,), blank, tmp_path / "decoded").degenerate == ""


def test_a_node_with_one_label_only_is_degenerate(tmp_path: Path) -> None:
    store = counted_store(tmp_path / "store", {"a": 20}, total=20)
    for class_ids in ((1,), None):
        assert training_data(store, class_ids, OPTIONS, tmp_path / "decoded").degenerate


def test_the_three_sets_are_disjoint_and_are_the_images_with_the_part(tmp_path: Path) -> None:
    store = counted_store(tmp_path / "store", {"a": 12, "b": 15}, total=20)
    data = training_data(store, (1,), OPTIONS, tmp_path / "decoded")
    with_part = {*range(12), *range(20, 35)}  # rows lie label after label
    train, chosen = set(data.train.indices.tolist()), set(data.held_out.indices.tolist())
    assert train | chosen == with_part
    assert not train & chosen
    assert set(data.validation.indices.tolist()) == with_part
    mask = held_out(np.repeat([0, 1], 20), OPTIONS.seed)
    assert chosen == with_part & set(np.flatnonzero(mask).tolist())
    assert data.train.labels.tolist() == [int(index >= 20) for index in sorted(train)]


def test_all_nodes_hold_out_the_same_images(tmp_path: Path) -> None:
    store = counted_store(tmp_path / "store", {"a": 20, "b": 20}, total=20)
    whole = training_data(store, None, OPTIONS, tmp_path / "decoded")
    part = training_data(store, (1,), OPTIONS, tmp_path / "decoded")
    assert np.array_equal(whole.held_out.indices, part.held_out.indices)
    assert len(whole.held_out) == 4
    other = training_data(store, None, replace(OPTIONS, seed=1), tmp_path / "decoded")
    assert not np.array_equal(whole.held_out.indices, other.held_out.indices)


def test_the_area_is_the_mean_share_of_the_pixels_where_the_part_is(tmp_path: Path) -> None:
    store = counted_store(tmp_path / "store", {"a": 10, "b": 10}, total=20)
    assert training_data(store, (1,), OPTIONS, tmp_path / "decoded").area == 4 * 8 / 256
    assert training_data(store, (0,), OPTIONS, tmp_path / "decoded").area == 1 - 4 * 8 / 256 / 2
    assert training_data(store, (0, 1), OPTIONS, tmp_path / "decoded").area == 1
    assert training_data(store, None, OPTIONS, tmp_path / "decoded").area == 1
    blank = replace(OPTIONS, absent="blank")
    assert training_data(store, (1,), blank, tmp_path / "decoded").area == 4 * 8 / 256 / 2
    assert training_data(store, (7,), OPTIONS, tmp_path / "decoded").area == 0
    crop = replace(OPTIONS, framing="crop")
    assert training_data(store, (1,), crop, tmp_path / "decoded").area == 4 * 8 / 256  # of the whole picture


def test_a_node_may_see_its_part_alone(tmp_path: Path) -> None:
    store = counted_store(tmp_path / "store", {"a": 10, "b": 20}, total=20)
    crop = replace(OPTIONS, framing="crop")
    part, whole = (training_data(store, ids, crop, tmp_path / "decoded") for ids in ((1,), None))
    assert (len(part.train), len(part.held_out), len(part.validation)) == (27, 3, 30)
    pictures = part.validation.pictures(np.arange(30), "cpu")
    # The part is 8 of the crop's 10 pixels wide, and 4 high: of 16 pixels about 12 and 6 (the nearest ones).
    shown = (pictures[:, 0] > 0).float().mean(dim=(1, 2))
    assert ((shown - 12 * 6 / 256).abs() < 1e-6).all()
    full = training_data(store, None, OPTIONS, tmp_path / "decoded")
    every = np.arange(len(full.validation))
    assert torch.equal(whole.validation.pictures(every, "cpu"), full.validation.pictures(every, "cpu"))


def classes_of(label_maps: np.ndarray) -> np.ndarray:
    return np.array([[class_id in label_map for class_id in range(256)] for label_map in label_maps])


def split_of(n: int) -> DecodedSplit:
    generator = np.random.default_rng(0)
    images, label_maps = (
        generator.integers(low, high, shape, dtype=np.uint8)
        for low, high, shape in ((1, 256, (n, 3, 4, 4)), (0, 3, (n, 4, 4)))
    )
    return DecodedSplit(
        images=images,
        label_maps=label_maps,
        present=classes_of(label_maps),
        labels=np.arange(n) % 2,
        label_names=("a", "b"),
        image_ids=tuple(map(str, range(n))),
    )


def test_held_out_rows_that_are_no_photos_are_judged_by_and_photos_are_held_out_by_their_seed() -> None:
    # Photos and samples in turn: without samples, photo 3 would be image 6.
    photos = np.repeat([0, 1], 30)
    sides = np.random.default_rng(0).integers(0, 2, 60).astype(bool)
    data = replace(
        split_of(120),
        labels=np.repeat(photos, 2),
        synthetic={2 * i + 1: Side(held_out=bool(side), seed=5) for i, side in enumerate(sides)},
    )
    for seed in (0, 5):
        judged, trained = held_out_rows(data, seed), trained_rows(data, seed)
        assert not judged[::2].any()
        np.testing.assert_array_equal(judged[1::2], sides)
        np.testing.assert_array_equal(trained[::2], ~held_out(photos, 5))
        np.testing.assert_array_equal(trained[1::2], ~sides)


def test_without_held_out_rows_that_are_no_photos_the_held_out_photos_are_judged_by() -> None:
    photos = held_out(split_of(120).labels, 3)
    np.testing.assert_array_equal(held_out_rows(split_of(120), 3), photos)
    np.testing.assert_array_equal(trained_rows(split_of(120), 3), ~photos)
    data = replace(split_of(120), synthetic={number: Side(held_out=False, seed=3) for number in range(100, 120)})
    expected = [*held_out(np.arange(100) % 2, 3), *[False] * 20]
    assert held_out_rows(data, 0).tolist() == expected
    np.testing.assert_array_equal(trained_rows(data, 0), ~np.array(expected))


def test_a_store_without_photos_is_split_by_its_samples() -> None:
    data = replace(split_of(4), synthetic={i: Side(held_out=i == 2, seed=0) for i in range(4)})
    assert held_out_rows(data, 1).tolist() == [False, False, True, False]
    assert trained_rows(data, 1).tolist() == [True, True, False, True]


def test_samples_of_different_seeds_are_refused() -> None:
    data = replace(split_of(4), synthetic={0: Side(held_out=True, seed=2), 3: Side(held_out=False, seed=1)})
    with pytest.raises(InputError, match=r"different seeds \(1, 2\)"):
        held_out_rows(data, 1)
    with pytest.raises(InputError, match=r"different seeds \(1, 2\)"):
        trained_rows(data, 1)


def test_pictures_are_composed_of_the_images_at_the_positions() -> None:
    data = split_of(6)
    view = NodeView(data=data, class_ids=(2,), fill="black", indices=np.array([1, 3, 4]))
    got = view.pictures(np.array([2, 0]), "cpu")
    for picture, index in zip(got.numpy(), (4, 1), strict=True):
        for y, x in np.ndindex(4, 4):
            shown = data.images[index, :, y, x] if data.label_maps[index, y, x] == 2 else [0, 0, 0]
            assert picture[:, y, x].tolist() == list(shown)


def test_batches_are_all_pictures_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVALUATION_BATCH", 3)
    view = NodeView(data=split_of(9), class_ids=None, fill="black", indices=np.array([0, 2, 3, 5, 6, 7, 8]))
    batches = list(view.batches("cpu"))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert np.array_equal(torch.cat(batches).numpy(), view.data.images[view.indices])


def test_a_view_with_skip_leaves_out_images_without_the_part() -> None:
    data = split_of(8)
    data.label_maps[3] = 1
    data.label_maps[5] = 0
    data = replace(data, present=classes_of(data.label_maps))
    assert node_view(data, (2,), "black", "skip").indices.tolist() == [0, 1, 2, 4, 6, 7]
    assert node_view(data, (0, 2), "black", "skip").indices.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert node_view(data, (2,), "black", "blank").indices.tolist() == list(range(8))
    assert node_view(data, None, "black", "skip").indices.tolist() == list(range(8))


def test_a_subset_is_counted_in_images_of_the_split() -> None:
    view = NodeView(data=split_of(6), class_ids=(1,), fill="mean", indices=np.array([1, 3, 4]))
    subset = view.subset(np.array([True, True, False, False, True, False]))
    assert (subset.indices.tolist(), subset.class_ids, subset.fill) == ([1, 4], (1,), "mean")
    assert len(subset) == 2
    assert subset.labels.tolist() == [1, 0]


def test_the_drawings_are_seen_as_they_were_drawn(store: SegmentStore, decoded: Path) -> None:
    view = node_view(decode(store, "train", 48, decoded), (2,), "black", "skip")
    assert len(view) == 36  # every tenth drawing of a label has no badge
    for picture, label in zip(torch.cat(list(view.batches("cpu"))).float(), view.labels.tolist(), strict=True):
        red, blue = picture[0].sum(), picture[2].sum()
        assert (red > 3 * blue) if view.data.label_names[label] == "day" else (blue > 3 * red)
