from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.metric import screening
from tasks.metric.composed import composed_distance_to
from tasks.metric.distances import OWN_DISTANCES_TO, OwnDistance
from tasks.metric.precision import precision_per_query, precisions_among
from tasks.metric.product_distance import ProductDistance
from tasks.metric.screening import Screen

KS = [1, 2, 8]
N = 1500


def drawn(n: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


def labels_of(n: int, seed: int = 1) -> Tensor:
    return torch.randint(0, 3, (n,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("own_distance", OWN_DISTANCES_TO)
@pytest.mark.parametrize("at_once", [7, 130, 700, 4096])
def test_the_candidates_are_the_nearest_by_all_distances(
    own_distance: OwnDistance, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "REFERENCES_AT_ONCE", at_once)
    rows = drawn(N, 16)
    distance = OWN_DISTANCES_TO[own_distance](rows)
    screen = Screen.of(distance, 8)
    assert screen is not None
    own = torch.arange(200)
    found = screen.candidates(rows[:200], own)
    assert found.certain.all()
    whole = distance(rows[:200]).scatter(1, own[:, None], torch.inf).numpy()
    nearest = np.argsort(whole, axis=1, kind="stable")[:, :8]
    np.testing.assert_array_equal(found.places[:, :8], nearest)
    np.testing.assert_allclose(found.distances[:, :8], np.take_along_axis(whole, nearest, axis=1), atol=1e-7)


@pytest.mark.parametrize("own_distance", OWN_DISTANCES_TO)
@pytest.mark.parametrize("kind", ["apart", "near", "repeated", "scaled", "last bits", "one point", "no variance"])
@pytest.mark.parametrize("itself", [True, False])
def test_precision_is_that_of_all_distances(own_distance: OwnDistance, kind: str, itself: bool) -> None:
    rows, labels = drawn(N, 6), labels_of(N)
    if kind == "near":  # closer to each other than float32 can tell
        rows = 1 + 1e-4 * rows
    elif kind == "repeated":
        rows = rows[torch.arange(N) % 40]
    elif kind == "scaled":  # as near to each other, but for float64's rounding
        rows = rows[torch.arange(N) % 500] * torch.tensor([1, 3, 0.7])[torch.arange(N) // 500, None]
    elif kind == "last bits":
        rows[750:] = rows[:750] * (1 + 1.2e-7 * torch.randint(-1, 2, (750, 6), generator=torch.Generator()))
    elif kind == "one point":
        rows[100:] = rows[0]
    elif kind == "no variance":
        rows[::3] = 0.5
    distance = OWN_DISTANCES_TO[own_distance](rows)
    assert Screen.of(distance, 8) is not None
    queries = slice(None) if itself else slice(0, 300)
    asked, own = rows[queries], torch.arange(N) if itself else None
    found = precisions_among(distance, asked, labels[queries], labels, KS, own=own)
    for k in KS:
        expected = precision_per_query(distance(asked), labels[queries], labels, k, exclude_self=itself)
        torch.testing.assert_close(found[k], expected, rtol=0, atol=0)


def test_what_float32_cannot_tell_apart_is_not_certain() -> None:
    rows = 1 + 1e-5 * drawn(N, 6).double()
    screen = Screen.of(OWN_DISTANCES_TO["cosine"](rows), 8)
    assert screen is not None
    assert not screen.candidates(rows[:50], torch.arange(50)).certain.any()


def test_an_error_as_large_as_the_gap_makes_a_query_uncertain() -> None:
    """The K-th nearest and the farthest candidate are apart by less than float32 may be wrong by."""
    rows = drawn(N, 6)
    distance = OWN_DISTANCES_TO["cosine"](rows)
    screen = Screen.of(distance, 1)
    assert screen is not None
    own = torch.arange(N)
    lifted = distance.lift(rows)
    others = (lifted @ lifted.T).fill_diagonal_(-torch.inf)
    ranked = others.sort(dim=1, descending=True).values
    gaps = ranked[:, 0] - ranked[:, screening.SPARES[0]]
    screen.error = gaps.median()
    expected = gaps > screen.error * (1 + 1e-3)
    clear = (gaps - screen.error).abs() > 1e-3 * screen.error
    assert torch.equal(screen.candidates(rows, own).certain[clear], expected[clear])
    assert clear.sum() > 0.9 * N


def test_only_many_finite_references_of_a_product_distance_are_screened() -> None:
    few, rows = drawn(screening.LEAST_REFERENCES - 1, 4), drawn(N, 4)
    make = OWN_DISTANCES_TO["cosine"]
    assert Screen.of(make(few), 1) is None
    assert Screen.of(composed_distance_to(rows), 1) is None
    assert Screen.of(make(rows), N - max(screening.SPARES)) is None
    rows[7, 2] = torch.nan
    assert Screen.of(make(rows), 1) is None
    with pytest.raises(ValueError, match="got NaN"):
        precisions_among(make(rows), rows[:5], labels_of(5), labels_of(N), [1])


@pytest.mark.parametrize("own_distance", OWN_DISTANCES_TO)
def test_no_queries_have_no_precision(own_distance: OwnDistance) -> None:
    rows, none = drawn(N, 4), torch.empty(0, dtype=torch.int64)
    found = precisions_among(OWN_DISTANCES_TO[own_distance](rows), rows[:0], none, labels_of(N), [1, 8], own=none)
    assert {k: len(shares) for k, shares in found.items()} == {1: 0, 8: 0}


def test_autocast_does_not_coarsen_the_products() -> None:
    rows, labels, own = drawn(N, 6), labels_of(N), torch.arange(N)
    distance = OWN_DISTANCES_TO["cosine"](rows)
    expected = precisions_among(distance, rows, labels, labels, [1], own=own)[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(precisions_among(distance, rows, labels, labels, [1], own=own)[1], expected)


def test_tight_clusters_of_two_labels_are_mostly_certain() -> None:
    """As trained embeddings are: the noise is a twentieth of the centres' distance."""
    centres, which = drawn(2, 64), labels_of(4000) % 2
    rows = centres[which] + 0.05 * drawn(4000, 64, seed=3)
    for name, least in (("squared_euclidean", 0.9), ("snr", 0.9)):
        screen = Screen.of(OWN_DISTANCES_TO[name](rows), 1)  # type: ignore[index]
        assert screen is not None
        assert screen.candidates(rows[:500], torch.arange(500)).certain.float().mean() > least


def test_a_query_that_is_no_number_is_refused() -> None:
    rows = drawn(N, 4)
    with pytest.raises(ValueError, match="got NaN"):
        precisions_among(OWN_DISTANCES_TO["snr"](rows), torch.full((1, 4), torch.nan), labels_of(1), labels_of(N), [1])


def test_coarse_products_are_not_trusted() -> None:
    distance, before = OWN_DISTANCES_TO["cosine"](drawn(N, 4)), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert Screen.of(distance, 1) is None
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_last_references_are_found_also_where_they_fill_no_group() -> None:
    rows = drawn(screening.LEAST_REFERENCES + 1, 5)
    distance = OWN_DISTANCES_TO["squared_euclidean"](rows)
    screen = Screen.of(distance, 1)
    assert screen is not None
    query = 2 * rows[-1:]
    found: Any = screen.candidates(query, None)
    assert found.places[0, 0] == len(rows) - 1
    assert found.certain.all()


def test_a_product_distance_is_a_function_of_rows() -> None:
    rows = drawn(5, 3)
    distance = ProductDistance(
        references=rows, lift_references=Tensor.double, lift=Tensor.double, of_products=lambda products, _: -products
    )
    got = distance(rows[:2])
    assert got.dtype == torch.float32
    for i in range(2):
        for j in range(5):
            assert got[i, j].item() == pytest.approx(
                -sum(a * b for a, b in zip(rows[i].tolist(), rows[j].tolist(), strict=True))
            )
