import numpy as np
import pytest
from PIL import Image

from tasks.bench import segmenting_speed
from tasks.bench.bench_setting import BenchSetting
from tasks.bench.segmenting_speed import segmenting_rows
from tasks.segments.segmenter import Segmenter


def test_both_sides_segment_the_same_photos(setting: BenchSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenting_speed, "PHOTOS", 2)
    monkeypatch.setattr(segmenting_speed, "SIZE", 64)
    ours: list[list[np.ndarray]] = []
    segment = Segmenter.segment

    def kept(self: Segmenter, photos: list[np.ndarray], batch: int) -> list[np.ndarray]:
        ours.append(segment(self, photos, batch))
        return ours[-1]

    theirs: list[list[np.ndarray]] = []
    build = segmenting_speed.pipeline

    def watched(*args: object, **kwargs: object) -> object:
        made = build(*args, **kwargs)  # type: ignore[call-overload]

        def run(pictures: list[Image.Image], **options: object) -> None:
            answers = made(pictures, **options)
            names = [sorted({(answer["label"]) for answer in of_photo}) for of_photo in answers]
            assert all(names)
            theirs.append([np.asarray(of_photo[0]["mask"]) for of_photo in answers])

        return run

    monkeypatch.setattr(Segmenter, "segment", kept)
    monkeypatch.setattr(segmenting_speed, "pipeline", watched)
    equal, shipped = segmenting_rows(setting)
    assert (equal.goal, shipped.goal) == (1.2, 2.0)
    assert equal.ratio.median > 0
    assert shipped.ratio.median > 0
    assert len(ours) == len(theirs) == 4
    for label_maps, masks in zip(ours, theirs, strict=True):
        assert [label_map.shape for label_map in label_maps] == [mask.shape for mask in masks] == [(64, 64)] * 2
