from typing import Any

import pytest

from tasks.errors import InputError
from tasks.segments.segmenter_options import SegmenterOptions


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 100},
        {"size": 0},
        {"held_out": 1.0},
        {"epochs": 0},
        {"batch_size": 0},
        {"heads": (1, 1)},
        {"hidden_sizes": (8, 8)},
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"segmenter: .*; got "):
        SegmenterOptions(**changes)
