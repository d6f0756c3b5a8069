"""How well predicted label maps fit the true ones: confusion matrix, intersection over union, pixel accuracy."""

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(predicted: NDArray[np.uint8], truth: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        predicted: class id of every pixel, any shape, each below `classes`.
        truth: the same shape.
        classes: number of class ids.

    Returns:
        int64 [classes, classes]: rows are true classes, columns predicted ones. Matrices of several photos add up.

    Raises:
        ValueError: the shapes differ, or an id is not below `classes`.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"confusion_matrix needs maps of one shape; got {predicted.shape} and {truth.shape}")
    if predicted.size and max(int(predicted.max()), int(truth.max())) >= classes:
        raise ValueError(f"confusion_matrix needs ids below {classes}; got {max(predicted.max(), truth.max())}")
    cells = truth.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def iou_per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of every class: TP / (TP + FP + FN).

    Args:
        confusion: int64 [n, n] from `confusion_matrix`.

    Returns:
        float64 [n] in [0, 1]; NaN where the class is neither in the truth nor in the prediction.
    """
    hits = np.diagonal(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    values = np.full(len(hits), np.nan)
    np.divide(hits, union, out=values, where=union > 0)
    return values


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean IoU over the classes that occur in the truth or the prediction; NaN if there is no pixel at all."""
    values = iou_per_class(confusion)
    occurring = values[~np.isnan(values)]
    return float(occurring.mean()) if len(occurring) else float("nan")


def pixel_accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of pixels whose class is right, in [0, 1]; NaN if there is no pixel at all."""
    pixels = int(confusion.sum())
    return float(np.trace(confusion)) / pixels if pixels else float("nan")
