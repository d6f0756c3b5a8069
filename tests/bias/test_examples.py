from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.bias.decided import decide_all
from tasks.bias.examples import PAIRS, misled_pairs, write_example_sheet
from tasks.metric import precision
from tasks.metric.composed import PartEmbeddings


@pytest.mark.parametrize("at_once", [1, 48, 1000])  # distances: one row, three rows, all rows of 16
def test_pairs_are_nearest_neighbours_of_other_labels_nearest_first(
    grown: Any, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "DISTANCES_AT_ONCE", at_once)
    decided = decide_all(grown.trained, grown.store, grown.decoded)
    pairs = misled_pairs(grown.trained, decided, "body")  # whose colour says nothing
    part = decided.queries["body"]
    rows = torch.nn.functional.normalize(part.embeddings.double(), dim=1).numpy()
    assert 1 <= len(pairs) <= PAIRS
    lengths = []
    for photo, neighbour in pairs:
        distances = ((rows - rows[photo]) ** 2).sum(axis=1)
        distances[photo] = np.inf
        assert distances.argmin() == neighbour
        assert decided.labels[part.indices[photo]] != decided.labels[part.indices[neighbour]]
        lengths.append(distances[neighbour])
    assert lengths == sorted(lengths)
    assert len({place for pair in pairs for place in pair}) == 2 * len(pairs)


def test_the_sheet_is_drawn_where_someone_is_misled(grown: Any, tmp_path: Path) -> None:
    decided = decide_all(grown.trained, grown.store, grown.decoded)
    path = tmp_path / "sheet.png"
    assert write_example_sheet(grown.trained, grown.store, decided, "body", grown.decoded, path)
    with Image.open(path) as sheet:
        assert sheet.width > 200
    told_apart = torch.tensor([[1.0, 0.0] if label == "day" else [0.0, 1.0] for label in decided.labels])
    sure = PartEmbeddings(embeddings=told_apart, indices=torch.arange(len(decided.labels)))
    perfect = replace(decided, queries={**decided.queries, "body": sure})
    other = tmp_path / "none.png"
    assert not write_example_sheet(grown.trained, grown.store, perfect, "body", grown.decoded, other)
    assert not other.exists()
