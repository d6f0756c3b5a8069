import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.explanation.composed_map import place
from tasks.segments.framing import Box


@given(st.integers(0, 10_000), st.integers(-10, 25), st.integers(-10, 15), st.integers(12, 30))
def test_the_mean_stays_wherever_a_map_is_placed(seed: int, left: int, top: int, side: int) -> None:
    conserving = torch.from_numpy(np.random.default_rng(seed).normal(size=(6, 6)))
    placed = place(conserving, Box(left, top, left + side, top + side), (30, 40), 20)
    assert placed.mean().item() == pytest.approx(conserving.mean().item(), abs=1e-12)
    for row, column in np.ndindex(20, 20):
        y, x = (row + 0.5) * 30 / 20, (column + 0.5) * 40 / 20
        if not (left - 1e-6 < x < left + side + 1e-6 and top - 1e-6 < y < top + side + 1e-6):
            assert placed[row, column] == 0


def test_a_whole_photo_s_map_is_only_resized() -> None:
    conserving = torch.tensor([[1.0, -1.0], [3.0, 5.0]])
    assert torch.equal(place(conserving, None, (10, 14), 2), conserving)
    resized = torch.nn.functional.interpolate(conserving[None, None], (8, 8), mode="bilinear")[0, 0]
    torch.testing.assert_close(place(conserving, None, (10, 14), 8), resized)


def test_a_quarter_s_map_is_four_times_as_dense() -> None:
    # A constant map on the upper left quarter of a square photo.
    placed = place(torch.full((3, 3), 0.5), Box(0, 0, 8, 8), (16, 16), 4)
    expected = torch.zeros(4, 4)
    expected[:2, :2] = 2.0
    torch.testing.assert_close(placed, expected)


def test_a_box_between_the_frame_s_pixels_gets_the_nearest_one() -> None:
    placed = place(torch.tensor([[1.0, 3.0]]), Box(20, 10, 22, 12), (80, 80), 4)  # their middles are at 10, 30, ...
    assert placed[0, 1].item() == pytest.approx(2 * 16)
    assert placed.count_nonzero() == 1
