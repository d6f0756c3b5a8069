import pytest
import torch

from tasks.judging.localisation import energy_in_segment, pointing_game

MAPS = torch.tensor([[[1.0, 3.0], [-5.0, 0.0]], [[2.0, 2.0], [1.0, 0.0]], [[0.0, -1.0], [0.0, 0.0]]])
SEGMENT = torch.tensor([[[0, 1], [1, 0]], [[0, 1], [0, 0]], [[1, 1], [0, 0]]]).bool()


def test_energy_is_the_positive_part_in_the_segment() -> None:
    energy = energy_in_segment(MAPS, SEGMENT)
    assert energy[:2].tolist() == pytest.approx([3 / 4, 2 / 5])
    assert energy[2].isnan()  # no positive part


def test_several_highest_pixels_count_by_expectation() -> None:
    # In the third map three pixels are highest, one of them in the segment.
    assert pointing_game(MAPS, SEGMENT).tolist() == pytest.approx([1, 1 / 2, 1 / 3])


def test_without_the_segment_neither_is_defined() -> None:
    nothing = torch.zeros(3, 2, 2, dtype=torch.bool)
    assert energy_in_segment(MAPS, nothing).isnan().all()
    assert pointing_game(MAPS, nothing).isnan().all()
