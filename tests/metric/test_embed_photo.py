from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.metric.embed_photo import embed_photo
from tasks.metric.model import normalise
from tasks.mixed_precision import mixed_precision
from tasks.segments.framing import crop_box, cropped, resize_image, resize_label_map
from tasks.segments.pictures import decode_image, decode_label_map

IDS = {"body": {1}, "badge": {2}, "figure": {1, 2}, "root": {0, 1, 2, 3}}


@pytest.fixture
def drawing(grown: Any) -> tuple[np.ndarray, np.ndarray]:
    row = next(grown.store.iterate("validation"))
    return decode_image(row.image, "x"), decode_label_map(row.mask, "x")


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("framing", ["full", "crop"])
def test_a_photo_is_embedded_as_the_node_s_pictures_are(
    grown: Any, drawing: tuple[np.ndarray, np.ndarray], name: str, framing: str
) -> None:
    image, label_map = drawing
    trained = replace(grown.trained, nodes={name: replace(grown.trained.nodes[name], framing=framing)})
    embedding, there = embed_photo(trained, name, image, label_map)
    if framing == "crop" and name != "root":
        box = crop_box(label_map, IDS[name])
        assert box is not None
        image, label_map = cropped(image, label_map, box)
    image, label_map = resize_image(image, 32), resize_label_map(label_map, 32)
    picture = np.where(np.isin(label_map, sorted(IDS[name])), image, 0).astype(np.uint8)
    model = grown.trained.model(name)
    with torch.no_grad(), mixed_precision("cpu"):
        expected = model(normalise(torch.from_numpy(picture)[None]))[0]
    assert there
    assert embedding is not None
    torch.testing.assert_close(embedding, expected)


def test_a_photo_without_the_part_has_no_embedding_but_of_blank_pictures(
    grown: Any, drawing: tuple[np.ndarray, np.ndarray]
) -> None:
    image, label_map = drawing[0], np.minimum(drawing[1], 1)
    assert embed_photo(grown.trained, "badge", image, label_map) == (None, False)
    blank = replace(grown.trained, options=replace(grown.trained.options, absent="blank"))
    embedding, there = embed_photo(blank, "badge", image, label_map)
    with torch.no_grad(), mixed_precision("cpu"):
        expected = grown.trained.model("badge")(normalise(torch.zeros(1, 3, 32, 32)))[0]
    assert not there
    assert embedding is not None
    torch.testing.assert_close(embedding, expected)


def test_a_degenerate_node_embeds_nothing(grown: Any, drawing: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="a degenerate node embeds no photo; got 'spot'"):
        embed_photo(grown.trained, "spot", drawing[0], np.full_like(drawing[1], 3))
