import numpy as np
import pytest
import torch

from tasks.metric import nearest
from tasks.metric.composed import PartEmbeddings
from tasks.metric.distances import OWN_DISTANCES
from tasks.metric.nearest import Neighbour, search
from tasks.metric.search_index import SearchIndex


def made_index(embeddings: torch.Tensor, numbers: torch.Tensor, distance: str = "squared_euclidean") -> SearchIndex:
    part = PartEmbeddings(embeddings=embeddings, indices=numbers)
    return SearchIndex(parts={"x": part}, weights={"x": 1.0}, numbers=numbers, distance=distance)  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", OWN_DISTANCES)
@pytest.mark.parametrize("block", [1, 7, 100, 4096])
def test_it_is_a_full_sort_by_the_node_s_distance(distance: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "IMAGES_AT_ONCE", block)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(100, 8, generator=generator)
    numbers = torch.arange(100) * 3 + 5
    query = torch.randn(8, generator=generator)
    index = made_index(embeddings, numbers, distance)
    expected = OWN_DISTANCES[distance](query[None].double(), embeddings.double())[0]  # type: ignore[index]
    order = expected.argsort()[:12]
    found = search(index, index.query({"x": query}), 12)
    assert [number for number, _ in found] == numbers[order].tolist()
    assert [value for _, value in found] == pytest.approx(expected[order].tolist(), rel=1e-9)


@pytest.mark.parametrize("dimensions", [3, 64, 1000])
@pytest.mark.parametrize("block", [1, 7, 16, 4096])
def test_equal_images_come_in_the_store_s_order_at_one_distance(
    dimensions: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "IMAGES_AT_ONCE", block)
    rng = np.random.default_rng(0)
    kinds = rng.standard_normal((5, dimensions)).astype(np.float32)
    kind_of = rng.integers(5, size=103)
    index = made_index(torch.from_numpy(kinds[kind_of]), torch.arange(103), "snr")
    query = index.query({"x": torch.from_numpy(rng.standard_normal(dimensions).astype(np.float32))})
    found = search(index, query, 103)
    distance_of = {kind: {d for n, d in found if kind_of[n] == kind} for kind in range(5)}
    assert all(len(distances) == 1 for distances in distance_of.values())
    assert found == sorted(found, key=lambda neighbour: (neighbour.distance, neighbour.number))
    assert search(index, query, 40) == found[:40]


def test_an_image_is_nearest_to_itself() -> None:
    embeddings = torch.randn(30, 16, generator=torch.Generator().manual_seed(1))
    index = made_index(embeddings, torch.arange(30))
    assert search(index, index.vectors(torch.tensor([17]))[0], 1) == [Neighbour(17, 0.0)]


def test_an_index_of_fewer_images_gives_them_all() -> None:
    index = made_index(torch.eye(3), torch.arange(3))
    found = search(index, index.query({"x": torch.tensor([0.0, 1.0, 0.0])}), 12)
    assert found == [Neighbour(1, 0.0), Neighbour(0, 2.0), Neighbour(2, 2.0)]


@pytest.mark.parametrize("top", [0, -1])
def test_fewer_than_one_image_is_refused(top: int) -> None:
    index = made_index(torch.eye(3), torch.arange(3))
    with pytest.raises(ValueError, match=f"a search needs top >= 1; got {top}"):
        search(index, torch.eye(3)[0].double(), top)
