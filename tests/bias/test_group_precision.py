import numpy as np
import pytest

from tasks.bias.gap import gap_and_resampled
from tasks.bias.group_precision import group_precision
from tasks.metric.precision import bootstrap_interval

LABELS = ("x",) * 12 + ("y",) * 12
GROUPS = ("old",) * 6 + ("young",) * 6 + ("old",) * 10 + ("young",) * 2
SHARES = np.array([1.0] * 5 + [0.0] + [1.0, 0.0] * 3 + [1.0] * 9 + [0.0] + [0.0] * 2)


def test_every_cell_has_its_figure_and_the_worst_is_named() -> None:
    found = group_precision(SHARES, LABELS, GROUPS)
    assert found is not None
    assert [(cell.label, cell.group, cell.photos, cell.precision) for cell in found.cells] == [
        ("x", "old", 6, pytest.approx(5 / 6)),
        ("x", "young", 6, 0.5),
        ("y", "old", 10, pytest.approx(0.9)),
        ("y", "young", 2, 0.0),
    ]
    assert found.cells[0].interval == bootstrap_interval(SHARES[:6])
    assert (found.worst.label, found.worst.group) == ("x", "young")  # of the two photos nothing is known
    assert found.mean == pytest.approx(SHARES.mean())
    assert found.interval == bootstrap_interval(SHARES)
    assert found.gap == pytest.approx(SHARES.mean() - 0.5)
    _, resampled = gap_and_resampled([SHARES], LABELS, GROUPS)
    assert found.gap_interval == pytest.approx(np.quantile(resampled, [0.025, 0.975]))


def test_without_a_cell_of_five_photos_there_are_no_figures() -> None:
    assert group_precision(np.ones(4), ("x",) * 4, ("old",) * 4) is None
