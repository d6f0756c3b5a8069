"""What a preparation tells the segmenter's training."""

from pathlib import Path

import pytest

from flows.parameters import PrepareParameters
from flows.photo_sources import Portraits
from flows.prepare_data import segmenter_options
from infra.settings import load_settings
from tasks.segments.segmenter_options import SegmenterOptions


@pytest.mark.parametrize(("name", "rate"), [(None, SegmenterOptions().learning_rate), ("nvidia/mit-b0", 1e-4)])
def test_a_named_segmenter_is_trained_on_slowly(name: str | None, rate: float, tmp_path: Path) -> None:
    parameters = PrepareParameters(
        photos=Portraits(), out=tmp_path, segmenter=name, fit_segmenter=True, segmenter_epochs=3, segmenter_size=96
    )
    options = segmenter_options(parameters, load_settings(home=tmp_path, device="cpu"))
    assert (options.start, options.learning_rate, options.epochs, options.size) == (name, rate, 3, 96)
