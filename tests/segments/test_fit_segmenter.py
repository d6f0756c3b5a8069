import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tasks.errors import InputError
from tasks.segments.fit_segmenter import SEGMENTER_PRESETS, FittedSegmenter, SegmenterOptions, fit_segmenter
from tasks.segments.segmenter import load_segmenter, quiet_transformers
from tasks.segments.segmenter_augment import augment, mirrored_classes
from tasks.segments.segmenter_loss import class_weights, dice_loss

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


@pytest.fixture(scope="module")
def fitted() -> FittedSegmenter:
    return fit_segmenter(PICTURES, CLASSES, SegmenterOptions(**TINY), seed=0)


def test_it_learns_two_colours(fitted: FittedSegmenter) -> None:
    report = fitted.report
    assert report.iou["ground"] is not None and report.iou["ground"] > 0.8
    assert report.iou["blob"] is not None and report.iou["blob"] > 0.8
    assert report.iou["never"] is None
    assert report.mean_iou == pytest.approx((report.iou["ground"] + report.iou["blob"]) / 2)
    assert report.pixel_accuracy > 0.9
    assert (report.trained_on, report.held_out, len(report.losses)) == (16, 4, 12)
    assert (report.height, report.width) == (32, 32)


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
    again = fit_segmenter(PICTURES, CLASSES, SegmenterOptions(**TINY), seed=0)
    assert again.segmenter.digest == fitted.segmenter.digest and again.report.losses == fitted.report.losses
    assert torch.equal(torch.get_rng_state(), state)
    other = fit_segmenter(PICTURES, CLASSES, SegmenterOptions(**TINY | {"epochs": 1}), seed=1)
    assert other.report.losses[0] != fitted.report.losses[0]


def test_training_may_start_from_a_segformer_with_other_classes(fitted: FittedSegmenter, tmp_path: Path) -> None:
    fitted.segmenter.save(tmp_path / "s")
    # So small a rate leaves the weights where they start.
    options = SegmenterOptions(start=str(tmp_path / "s"), size=32, epochs=1, learning_rate=1e-12)
    started = fit_segmenter(PICTURES, {0: "ground", 3: "blob"}, options, seed=0).segmenter
    assert started.classes == {0: "ground", 3: "blob"}
    before, after = (dict(segmenter.model.named_parameters()) for segmenter in (fitted.segmenter, started))
    new = {"decode_head.classifier.weight", "decode_head.classifier.bias"}
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before.keys() - new)
    assert after["decode_head.classifier.weight"].shape == (4, 16, 1, 1)


def test_training_may_start_from_a_backbone_without_a_head(fitted: FittedSegmenter, tmp_path: Path) -> None:
    with quiet_transformers():
        fitted.segmenter.model.segformer.save_pretrained(tmp_path / "s")
    options = SegmenterOptions(start=str(tmp_path / "s"), size=32, epochs=6)
    report = fit_segmenter(PICTURES, CLASSES, options, seed=0).report
    assert report.losses[-1] < 0.7 * report.losses[0]
    assert report == replace(fit_segmenter(PICTURES, CLASSES, options, seed=0).report, seconds=report.seconds)


def test_progress_is_told_and_may_end_the_training() -> None:
    told: list[str] = []

    def progress(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_segmenter(PICTURES[:4], CLASSES, SegmenterOptions(**TINY), seed=0, on_progress=progress)
    assert [line.split(", loss")[0] for line in told] == ["segmenter: epoch 1 of 12", "segmenter: epoch 2 of 12"]


def test_the_input_follows_the_photos_proportions() -> None:
    tall = [picture(number, 60, 40) for number in range(3)]
    report = fit_segmenter(tall, CLASSES, SegmenterOptions(**TINY | {"size": 96, "epochs": 1}), seed=0).report
    assert (report.height, report.width) == (96, 64)


def test_mirrored_classes_are_pairs_only() -> None:
    names = {0: "skin", 1: "l_eye", 2: "r_eye", 3: "u_lip", 4: "l_lip", 5: "Left-shoe", 6: "right shoe", 7: "ear_r"}
    assert mirrored_classes(names) == {0: 0, 1: 2, 2: 1, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7} | {5: 6, 6: 5}


def test_augmentation_moves_image_and_label_map_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.zeros(64, 24, 24, dtype=torch.long)
    targets[:, 6:18, 2:10] = 1  # left of the middle
    targets[:, 6:18, 14:22] = 2  # right of the middle
    images = F.one_hot(targets, 3).movedim(-1, 1).float() * 4
    moved, labels = augment(images, targets, torch.tensor([0, 2, 1]), (0.75, 1.5), generator)
    # Mirrored photos have their channels as they were drawn, so there the two sides have changed places.
    agrees = [(moved[n].argmax(0) == labels[n])[labels[n] >= 0].float().mean().item() for n in range(64)]
    swapped = torch.tensor([0, 2, 1])
    mirrored = [(swapped[moved[n].argmax(0)] == labels[n])[labels[n] >= 0].float().mean().item() for n in range(64)]
    assert all(max(pair) > 0.9 for pair in zip(agrees, mirrored, strict=True))
    assert 16 < sum(other > same for same, other in zip(agrees, mirrored, strict=True)) < 48
    assert (labels == -1).any() and labels.max() == 2
    # Whether mirrored or not, what is called 1 lies left of what is called 2.
    columns = torch.arange(24.0)
    for found in labels:
        if (found == 1).any() and (found == 2).any():
            middles = [((found == i).sum(0) * columns).sum() / (found == i).sum() for i in (1, 2)]
            assert middles[0] < middles[1]


def test_without_mirroring_nothing_is_mirrored() -> None:
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-2, 2, 24).expand(8, 3, 24, 24)
    moved, _ = augment(ramp, torch.zeros(8, 24, 24, dtype=torch.long), None, (1.0, 1.0), generator)
    assert (moved[:, 0, 12, 16] > moved[:, 0, 12, 8]).all()


def test_class_weights_are_one_over_the_root_of_the_share() -> None:
    targets = torch.tensor([[[0] * 64 + [1] * 16 + [3] * 20]], dtype=torch.uint8)[0][None]
    weights = class_weights(targets, 4).tolist()
    assert weights[2] == 0
    assert weights[1] / weights[0] == pytest.approx(math.sqrt(0.64 / 0.16))
    assert weights[3] / weights[0] == pytest.approx(math.sqrt(0.64 / 0.20))
    assert sum(w * s for w, s in zip(weights, (0.64, 0.16, 0, 0.2), strict=True)) == pytest.approx(1)


def test_dice_loss_is_one_minus_the_soft_overlap_class_by_class() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(2, 4, 3, 5)), rng.integers(-1, 3, (2, 3, 5))  # class 3 does not occur
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    dice = []
    for class_id in range(3):
        overlap = total = 0.0
        for n, row, column in np.ndindex(truth.shape):
            if truth[n, row, column] >= 0:
                overlap += shares[n, class_id, row, column] * (truth[n, row, column] == class_id)
                total += shares[n, class_id, row, column] + (truth[n, row, column] == class_id)
        dice.append((2 * overlap + 1) / (total + 1))
    found = dice_loss(torch.from_numpy(logits).float(), torch.from_numpy(truth))
    assert found.item() == pytest.approx(1 - np.mean(dice), abs=1e-5)


def test_presets_are_valid() -> None:
    assert set(SEGMENTER_PRESETS) == {"tiny", "b0"} and SEGMENTER_PRESETS["tiny"] == SegmenterOptions()


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
        fit_segmenter(photos, classes, SegmenterOptions(**TINY | changes), seed=0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 100},
        {"size": 0},
        {"held_out": 1.0},
        {"epochs": 0},
        {"batch_size": 0},
        {"zoom": (1.5, 0.75)},
        {"depths": (1, 1)},
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"segmenter: .*; got "):
        SegmenterOptions(**changes)
