"""Which segmenters are the same training's, and so are trained once."""

import json
from dataclasses import replace
from pathlib import Path

from tasks.segments.portraits import PortraitSource, PortraitSpec
from tasks.segments.segmenter_options import SegmenterOptions
from tasks.segments.source_segmenter import FIT_FILE, _key, is_fitted


def test_one_that_starts_from_other_weights_is_another(tmp_path: Path) -> None:
    source = PortraitSource(PortraitSpec(train=8, validation=2))
    start, fitted = tmp_path / "start", tmp_path / "fitted"
    for folder in (start, fitted):
        folder.mkdir()
    (start / "model.safetensors").write_bytes(b"weights")
    options = SegmenterOptions(start=str(start))
    (fitted / FIT_FILE).write_text(json.dumps({"key": _key(source, options)}))
    assert is_fitted(source, options, fitted)
    assert not is_fitted(source, replace(options, epochs=1), fitted)
    (start / "model.safetensors").write_bytes(b"others!")
    assert not is_fitted(source, options, fitted)
