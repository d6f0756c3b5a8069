import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.errors import InputError
from tasks.segments.shard_reader import read_header
from tasks.segments.store_row import describe_segments
from tests.segments.skies import CLASSES, MADE, made_row, written


@given(arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.sampled_from(list(CLASSES))))
def test_segments_are_those_of_a_walk_over_the_pixels(label_map: np.ndarray) -> None:
    found: dict[int, list[tuple[int, int]]] = {}
    for y, x in np.ndindex(*label_map.shape):
        found.setdefault(int(label_map[y, x]), []).append((y, x))
    expected = [
        {
            "name": CLASSES[class_id],
            "class_id": class_id,
            "area": len(places),
            "top": min(y for y, _ in places),
            "left": min(x for _, x in places),
            "bottom": max(y for y, _ in places) + 1,
            "right": max(x for _, x in places) + 1,
        }
        for class_id, places in sorted(found.items())
    ]
    assert describe_segments(label_map, CLASSES) == expected


def test_a_class_id_that_the_table_lacks_is_named() -> None:
    with pytest.raises(InputError, match=r"has the class id 9, which the class table lacks; it has: 0, 1, 7"):
        describe_segments(np.array([[0, 9]], dtype=np.uint8), CLASSES)


def test_the_digest_follows_the_provenance(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"kind": "copy"}, {"segment": "sky"}, {"receiver": "c"}, {"donor": "c"}, {"seed": 4}, {"held_out": False}
    ]  # fmt: skip
    made = [None, MADE, *(replace(MADE, **change) for change in changes)]
    paths = [written(tmp_path / str(i), [made_row("a", provenance=provenance)]) for i, provenance in enumerate(made)]
    assert len({read_header(path).digest for path in paths}) == len(made)


def test_the_digest_of_photos_is_what_it_was_before_there_was_provenance(tmp_path: Path) -> None:
    row = made_row("a", group="g")
    pictures = [hashlib.sha256(data).hexdigest() for data in (row.image, row.mask)]
    expected = hashlib.sha256(json.dumps(["a", "train", "day", "g", *pictures]).encode()).hexdigest()
    assert read_header(written(tmp_path, [row])).digest == expected
