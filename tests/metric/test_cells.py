import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.metric import cells
from tasks.metric.cells import Cells, open_cells
from tasks.metric.composed import PartEmbeddings
from tasks.metric.nearest import search
from tasks.metric.search_index import SearchIndex

FACTS = {"made": "for the test"}


@pytest.fixture(scope="module")
def exact() -> SearchIndex:
    """6,000 images about 100 points of a sphere, every other number."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((100, 16))
    made = points[rng.integers(100, size=6000)] + 0.2 * rng.standard_normal((6000, 16))
    numbers = torch.arange(6000) * 2
    part = PartEmbeddings(embeddings=torch.from_numpy(made.astype(np.float32)), indices=numbers)
    return SearchIndex(parts={"x": part}, weights={"x": 1.0}, numbers=numbers, distance="squared_euclidean")


def opened(folder: Path, index: SearchIndex) -> Cells:
    return open_cells(folder, FACTS, index.numbers, index.vectors)


def test_a_sixteenth_of_the_cells_holds_nearly_all_of_the_nearest(exact: SearchIndex, tmp_path: Path) -> None:
    proposed = replace(exact, cells=opened(tmp_path, exact))
    assert proposed.cells is not None
    assert (proposed.cells.inverted.nlist, proposed.cells.inverted.nprobe) == (77, 5)
    shares = []
    for number in range(0, 12000, 400):
        query = exact.vectors(torch.tensor([number]))[0]
        found, true = search(proposed, query, 12), search(exact, query, 12)
        assert found[0] == (number, 0.0)
        assert [d for _, d in found] == sorted(d for _, d in found)
        shared = set(found) & set(true)  # what is found has the exact distance
        assert shared == {neighbour for neighbour in found if neighbour.number in {n for n, _ in true}}
        shares.append(len(shared) / 12)
    assert np.mean(shares) > 0.95


def test_every_image_is_in_a_cell(exact: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "SEARCHED", 1.0)
    monkeypatch.setattr(cells, "VECTORS_AT_ONCE", 1000)
    made = opened(tmp_path, exact)
    assert made.propose(exact.vectors(torch.tensor([0]))[0], 7000).tolist() == list(range(6000))
    query = exact.vectors(torch.tensor([100]))[0]
    assert search(replace(exact, cells=made), query, 50) == search(exact, query, 50)


def test_cells_are_computed_once(exact: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = exact.vectors(torch.tensor([100]))[0]
    first = opened(tmp_path, exact).propose(query, 64)
    with monkeypatch.context() as patch:
        patch.setattr(cells, "_divided", None)
        assert torch.equal(opened(tmp_path, exact).propose(query, 64), first)
        with pytest.raises(TypeError, match="NoneType"):
            open_cells(tmp_path, {"made": "for another"}, exact.numbers, exact.vectors)
    next(tmp_path.glob("*.safetensors")).write_bytes(b"damaged")
    assert torch.equal(opened(tmp_path, exact).propose(query, 64), first)


def test_without_faiss_it_says_what_to_install(
    exact: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"searching 6000 images needs Faiss, .*: pip install faiss-cpu"):
        opened(tmp_path, exact)
