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

    theirs: list[list[np.ndarray]] = []  # class ids, as ours
    build = segmenting_speed.pipeline

    def watched(*args: object, **kwargs: object) -> object:
        made = build(*args, **kwargs)  # type: ignore[call-overload]

        def run(pictures: list[Image.Image], **options: object) -> None:
            theirs.append([])
            for masks in made(pictures, **options):
                label_map = np.full((64, 64), 255)
                for answer in masks:
                    label_map[np.asarray(answer["mask"]) > 0] = int(answer["label"].removeprefix("part "))
                theirs[-1].append(label_map)

        return run

    monkeypatch.setattr(Segmenter, "segment", kept)
    monkeypatch.setattr(segmenting_speed, "pipeline", watched)
    equal, shipped = segmenting_rows(setting)
    assert (equal.goal, shipped.goal) == (1.2, 2.0)
    assert (equal.direction, shipped.direction) == ("at least", "at least")
    assert len(ours) == len(theirs) == 4
    for our_maps, their_maps in zip(ours, theirs, strict=True):
        assert len(our_maps) == len(their_maps) == 2
        # A network of random weights says nearly the same of all classes: rounding decides here and there.
        assert np.mean(np.stack(our_maps) == np.stack(their_maps)) > 0.95
