import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.segments.compose import FILLS, Fill, compose, keep_table, present, silhouettes


def photos(n: int = 2, height: int = 6, width: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    images = generator.integers(1, 256, (n, 3, height, width), dtype=np.uint8)
    return torch.from_numpy(images), torch.from_numpy(generator.integers(0, 4, (n, height, width), dtype=np.uint8))


@given(st.sets(st.integers(0, 255)))
def test_the_table_holds_the_ids(class_ids: set[int]) -> None:
    table = keep_table(class_ids)
    assert (table.dtype, table.shape) == (torch.bool, (256,))
    assert {class_id for class_id in range(256) if table[class_id]} == class_ids


def test_none_keeps_every_class_and_an_empty_list_none() -> None:
    assert keep_table(None).all()
    assert not keep_table(()).any()


@pytest.mark.parametrize("class_id", [-1, 256])
def test_an_id_that_is_no_byte_is_refused(class_id: int) -> None:
    with pytest.raises(ValueError, match=rf"class ids are 0\.\.255, one byte a pixel; got {class_id}"):
        keep_table([1, class_id])


def box_blurred(channel: np.ndarray, radius: int) -> np.ndarray:
    """The mean over a window, of what is inside of the picture, twice."""
    height, width = channel.shape
    for _ in range(2):
        out = np.empty_like(channel)
        for y, x in np.ndindex(height, width):
            rows, columns = slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)
            out[y, x] = channel[rows, columns].mean()
        channel = out
    return channel


def filled(image: np.ndarray, label_map: np.ndarray, y: int, x: int, fill: Fill) -> list[int]:
    """What stands in a pixel that is not kept."""
    if fill == "mean":
        return [int(np.rint(channel.astype(float).mean())) for channel in image]
    if fill == "blur":
        radius = max(1, min(label_map.shape) // 16)
        return [int(np.rint(box_blurred(channel.astype(float), radius)[y, x])) for channel in image]
    if fill == "background" and label_map[y, x] == 0:
        return image[:, y, x].tolist()
    return [0, 0, 0]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("class_ids", [(2,), (1, 3), (0,), (), (200,)])
def test_each_pixel_is_kept_or_filled(class_ids: tuple[int, ...], fill: Fill) -> None:
    images, label_maps = photos()
    got = compose(images, label_maps, class_ids, fill).numpy()
    assert got.dtype == np.uint8
    for n, y, x in np.ndindex(2, 6, 5):
        image, label_map = images[n].numpy(), label_maps[n].numpy()
        kept = label_map[y, x] in class_ids
        expected = image[:, y, x].tolist() if kept else filled(image, label_map, y, x, fill)
        np.testing.assert_allclose(got[n, :, y, x], expected, atol=1 if fill == "blur" and not kept else 0)


def test_the_blur_is_as_wide_as_a_sixteenth_of_the_shorter_side() -> None:
    # A white line across black: two boxes of radius 3 (of 50 x 80 pixels) reach six pixels to each side.
    images = torch.zeros(1, 3, 50, 80, dtype=torch.uint8)
    images[:, :, 25] = 255
    blurred = compose(images, torch.zeros(1, 50, 80, dtype=torch.uint8), (1,), "blur")
    rows = torch.nonzero(blurred[0, 0, :, 40])[:, 0]
    assert (rows.min().item(), rows.max().item()) == (19, 31)
    assert blurred[0, 0, 25, 40].item() == round(255 / 7)


@pytest.mark.parametrize("fill", FILLS)
def test_the_root_shows_the_photo_itself(fill: Fill) -> None:
    images, label_maps = photos()
    assert torch.equal(compose(images, label_maps, None, fill), images)


@pytest.mark.parametrize("fill", FILLS)
def test_the_photos_stay_as_they_were(fill: Fill) -> None:
    images, label_maps = photos()
    copies = images.clone(), label_maps.clone()
    compose(images, label_maps, (1,), fill)
    assert torch.equal(images, copies[0])
    assert torch.equal(label_maps, copies[1])


@given(st.sets(st.integers(0, 3)))
def test_black_pictures_of_disjoint_parts_add_up_to_the_photo(class_ids: set[int]) -> None:
    images, label_maps = photos()
    rest = set(range(4)) - class_ids
    assert torch.equal(compose(images, label_maps, class_ids) + compose(images, label_maps, rest), images)


@given(st.sets(st.integers(0, 5)))
def test_present_is_at_least_one_pixel(class_ids: set[int]) -> None:
    label_maps = torch.tensor([[[0, 0], [0, 1]], [[2, 2], [3, 2]], [[4, 4], [4, 4]]], dtype=torch.uint8)
    expected = [bool(class_ids & set(label_map.flatten().tolist())) for label_map in label_maps]
    assert present(label_maps, class_ids).tolist() == expected
    assert present(label_maps, None).all()


@pytest.mark.parametrize(
    ("images", "label_maps"), [((2, 3, 4, 4), (2, 4, 5)), ((2, 3, 4, 4), (1, 4, 4)), ((3, 4, 4), (4, 4))]
)
def test_shapes_that_do_not_fit_are_named(images: tuple[int, ...], label_maps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images \[n,3,h,w\] and label maps \[n,h,w\] of the same size; got \[") as e:
        compose(torch.zeros(images, dtype=torch.uint8), torch.zeros(label_maps, dtype=torch.uint8), (1,))
    assert str(list(images)) in str(e.value) and str(list(label_maps)) in str(e.value)


def test_an_unknown_fill_is_refused_with_the_choices() -> None:
    images, label_maps = photos()
    with pytest.raises(ValueError, match="unknown fill 'white': one of black, mean, blur, background"):
        compose(images, label_maps, (1,), "white")  # type: ignore[arg-type]


def test_a_silhouette_is_the_mask_alone() -> None:
    label_maps = torch.tensor([[[0, 1], [2, 1]], [[2, 2], [0, 0]]], dtype=torch.uint8)
    got = silhouettes(label_maps, (1, 2))
    assert (got.shape, got.dtype) == ((2, 3, 2, 2), torch.uint8)
    for channel in range(3):
        assert got[:, channel].tolist() == [[[0, 255], [255, 255]], [[255, 255], [0, 0]]]
    assert (silhouettes(label_maps, None) == 255).all()
