from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.segments.fit_segmenter import FittedSegmenter, fit_segmenter
from tasks.segments.segmenter import load_segmenter, quiet_transformers
from tasks.segments.segmenter_options import SegmenterOptions
from tasks.segments.segmenter_photos import LabelledPhoto

CLASSES = {0: "ground", 3: "blob", 200: "never"}
TINY: dict[str, Any] = {
    "hidden_sizes": (8, 8, 16, 16),
    "heads": (1, 1, 2, 2),
    "decoder_size": 16,
    "size": 32,
    "epochs": 12,
    "batch_size": 4,
}


def picture(number: int, height: int = 30, width: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A bright ellipse (class 3) on dark ground, with noise."""
    rng = np.random.default_rng(number)
    rows, columns = np.ogrid[:height, :width]
    y, x = rng.uniform(0.3, 0.7, 2) * (height, width)
    inside = ((rows - y) / (0.25 * height)) ** 2 + ((columns - x) / (0.2 * width)) ** 2 < 1
    colours = np.where(inside, np.array([220, 170, 40])[:, None, None], np.array([40, 60, 120])[:, None, None])
    image = np.clip(colours + rng.normal(0, 12, (3, height, width)), 0, 255).astype(np.uint8)
    return image, np.where(inside, 3, 0).astype(np.uint8)


PICTURES = [picture(number) for number in range(20)]


def fit(photos: Any = PICTURES, classes: Any = CLASSES, seed: int = 0, **changes: Any) -> FittedSegmenter:
    return fit_segmenter(photos, classes, SegmenterOptions(**TINY | changes), seed, lambda _: None)


@pytest.fixture(scope="module")
def fitted() -> FittedSegmenter:
    return fit()


def test_it_learns_two_colours(fitted: FittedSegmenter) -> None:
    iou = fitted.iou
    assert iou["ground"] is not None and iou["ground"] > 0.8
    assert iou["blob"] is not None and iou["blob"] > 0.8
    assert iou["never"] is None
    assert fitted.mean_iou == pytest.approx((iou["ground"] + iou["blob"]) / 2)
    assert fitted.pixel_accuracy > 0.9
    assert len(fitted.losses) == 12


def test_photos_trained_on_are_read_twice_and_those_held_out_once() -> None:
    class Counted(list[LabelledPhoto]):
        reads: ClassVar = Counter[int]()

        def __getitem__(self, index: Any) -> Any:
            self.reads[index] += 1
            return super().__getitem__(index)

    fit(Counted(PICTURES), epochs=1)
    assert Counter(Counted.reads.values()) == {2: 16, 1: 4}


def test_photos_of_another_size_get_the_store_s_class_ids(fitted: FittedSegmenter) -> None:
    image, truth = picture(99, 50, 61)
    found = fitted.segmenter.segment([image])[0]
    assert found.shape == truth.shape and set(np.unique(found)) == {0, 3}
    assert np.mean(found == truth) > 0.9


def test_what_was_saved_segments_the_same(fitted: FittedSegmenter, tmp_path: Path) -> None:
    fitted.segmenter.save(tmp_path / "s")
    loaded = load_segmenter(str(tmp_path / "s"))
    assert loaded.classes == CLASSES and loaded.digest == fitted.segmenter.digest
    assert np.array_equal(loaded.segment([PICTURES[0][0]])[0], fitted.segmenter.segment([PICTURES[0][0]])[0])


def test_the_seed_decides_everything(fitted: FittedSegmenter) -> None:
    torch.rand(3)  # what else draws from the process's generator does not matter
    state = torch.get_rng_state()
    again = fit()
    assert again.segmenter.digest == fitted.segmenter.digest and again.losses == fitted.losses
    assert torch.equal(torch.get_rng_state(), state)
    assert fit(seed=1, epochs=1).losses[0] != fitted.losses[0]


def test_training_may_start_from_a_segformer_with_other_classes(fitted: FittedSegmenter, tmp_path: Path) -> None:
    fitted.segmenter.save(tmp_path / "s")
    # So small a rate leaves the weights where they start.
    options = SegmenterOptions(start=str(tmp_path / "s"), size=32, epochs=1, learning_rate=1e-12)
    started = fit_segmenter(PICTURES, {0: "ground", 3: "blob"}, options, 0, lambda _: None).segmenter
    assert started.classes == {0: "ground", 3: "blob"}
    before, after = (dict(segmenter.model.named_parameters()) for segmenter in (fitted.segmenter, started))
    new = {"decode_head.classifier.weight", "decode_head.classifier.bias"}
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before.keys() - new)
    assert after["decode_head.classifier.weight"].shape == (4, 16, 1, 1)


def test_training_may_start_from_a_backbone_without_a_head(fitted: FittedSegmenter, tmp_path: Path) -> None:
    with quiet_transformers():
        fitted.segmenter.model.segformer.save_pretrained(tmp_path / "s")
    options = SegmenterOptions(start=str(tmp_path / "s"), size=32, epochs=6)
    one, again = (fit_segmenter(PICTURES, CLASSES, options, 0, lambda _: None) for _ in range(2))
    assert one.losses[-1] < 0.7 * one.losses[0]
    assert (one.losses, one.segmenter.digest) == (again.losses, again.segmenter.digest)


def test_progress_is_told_and_may_end_the_training() -> None:
    told: list[str] = []

    def progress(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_segmenter(PICTURES[:4], CLASSES, SegmenterOptions(**TINY), 0, progress)
    assert [line.split(", loss")[0] for line in told] == ["segmenter: epoch 1 of 12", "segmenter: epoch 2 of 12"]


def test_the_input_follows_the_photos_proportions() -> None:
    tall = [picture(number, 60, 40) for number in range(2)]  # as few as it takes
    assert dict(fit(tall, size=96, epochs=1).segmenter.processor.size) == {"height": 96, "width": 64}


def other_size() -> list[tuple[np.ndarray, np.ndarray]]:
    image, truth = picture(0)
    return [*PICTURES[:3], (image, truth[1:])]


@pytest.mark.parametrize(
    ("photos", "classes", "changes", "message"),
    [
        (PICTURES[:1], CLASSES, {}, "two photos with masks and two classes or more; got 1 and 3"),
        (PICTURES[:3], {0: "ground"}, {}, "two photos with masks and two classes or more; got 3 and 1"),
        (PICTURES[:3], {0: "ground", 4: "other"}, {}, "label map of photo . has the class id 3, which has no name"),
        (
            [PICTURES[0], *other_size()[::-1]],
            CLASSES,
            {"held_out": 0.01},
            "label map of photo . is .29, 40., its photo",
        ),
        (PICTURES[:4], CLASSES, {"start": "/no/where"}, "/no/where cannot be loaded: no such folder"),
        (PICTURES[:4], CLASSES, {"learning_rate": 1e30, "epochs": 30}, "the segmenter's loss is .* lower its learning"),
    ],
)
def test_wrong_input_is_refused_in_one_line(photos: Any, classes: Any, changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        fit(photos, classes, **changes)
    assert "\n" not in str(raised.value)
