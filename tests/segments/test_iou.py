import numpy as np
import pytest

from tasks.segments.iou import confusion_matrix, iou_per_class, mean_iou, pixel_accuracy


def maps(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, (7, 9), dtype=np.uint8), rng.integers(0, classes, (7, 9), dtype=np.uint8)


def test_confusion_matrix_counts_pixel_by_pixel() -> None:
    predicted, truth = maps(0, 4)
    counted = np.zeros((4, 4), int)
    for row in range(7):
        for column in range(9):
            counted[truth[row, column], predicted[row, column]] += 1
    assert np.array_equal(confusion_matrix(predicted, truth, 4), counted)


@pytest.mark.parametrize("seed", range(5))
def test_iou_is_the_overlap_of_pixel_sets_over_their_union(seed: int) -> None:
    predicted, truth = maps(seed, 4)
    got = iou_per_class(confusion_matrix(predicted, truth, 6))
    for class_id in range(4):
        ours = {tuple(place) for place in np.argwhere(predicted == class_id)}
        theirs = {tuple(place) for place in np.argwhere(truth == class_id)}
        assert got[class_id] == pytest.approx(len(ours & theirs) / len(ours | theirs))
    assert np.isnan(got[4:]).all()
    assert mean_iou(confusion_matrix(predicted, truth, 6)) == pytest.approx(np.mean(got[:4]))
    assert pixel_accuracy(confusion_matrix(predicted, truth, 6)) == pytest.approx(np.mean(predicted == truth))


def test_a_class_only_predicted_or_only_true_counts_as_zero() -> None:
    confusion = confusion_matrix(np.array([[0, 1]], np.uint8), np.array([[0, 2]], np.uint8), 4)
    assert iou_per_class(confusion)[:3].tolist() == [1.0, 0.0, 0.0]
    assert mean_iou(confusion) == pytest.approx(1 / 3)


def test_id_255_fits() -> None:
    white = np.full((2, 2), 255, np.uint8)
    assert confusion_matrix(white, white, 256)[255, 255] == 4


def test_no_pixels_give_no_figure() -> None:
    nothing = np.zeros((0, 3), np.uint8)
    confusion = confusion_matrix(nothing, nothing, 2)
    assert np.isnan(mean_iou(confusion)) and np.isnan(pixel_accuracy(confusion))


def test_maps_of_two_shapes_and_ids_too_high_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)
    with pytest.raises(ValueError, match="ids below 2; got 3"):
        confusion_matrix(np.full((2, 2), 3, np.uint8), np.zeros((2, 2), np.uint8), 2)
