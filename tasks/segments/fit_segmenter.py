"""Train a SegFormer on the photos that have label maps, and say how good it is on those held out.

The network and its files are those of the published SegFormers, so any tool that reads one reads these, and training
may start from one. Two departures make it learn from a few hundred photos on a CPU within a minute: a stem of
stride 2, so that small parts survive (logits come at half the input's size instead of a quarter), and
convolutions initialised by their fan-out as in the authors' code (transformers uses a normal distribution of 0.02).

Everything random comes from the seed: the same seed, machine and number of threads give the same weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import SegformerImageProcessor

from tasks.errors import InputError
from tasks.segments.iou import confusion_matrix, iou_per_class, mean_iou, pixel_accuracy
from tasks.segments.segmenter import Segmenter
from tasks.segments.segmenter_network import new_model
from tasks.segments.segmenter_options import SegmenterOptions
from tasks.segments.segmenter_photos import LabelledPhoto, input_size, resize_photos
from tasks.segments.segmenter_training import train_segmenter


@dataclass(frozen=True, kw_only=True)
class FittedSegmenter:
    """A trained segmenter, and how good it is on the photos held out, each at its own size.

    Attributes:
        segmenter: ready to segment.
        losses: mean training loss of each epoch.
        iou: class name to intersection over union in [0, 1]; None where it is in neither the truth nor the prediction.
        mean_iou: mean of `iou` over the classes that have one.
        pixel_accuracy: share of the pixels whose class is right.
    """

    segmenter: Segmenter
    losses: tuple[float, ...]
    iou: dict[str, float | None]
    mean_iou: float
    pixel_accuracy: float


def fit_segmenter(
    photos: Sequence[LabelledPhoto],
    classes: Mapping[int, str],
    options: SegmenterOptions,
    seed: int,
    on_progress: Callable[[str], None],
) -> FittedSegmenter:
    """Train a SegFormer and judge it on the photos held out.

    Args:
        photos: image uint8 [3, h, w] (RGB) and label map uint8 [h, w] (class ids) of each; any sizes. Each is read
            once (those trained on twice), so the sequence may decode on demand.
        classes: class id (0..255) to name; ids may have gaps, and stay what they are.
        options: what to train and how.
        seed: of the weights, the held-out photos, the order and the augmentation.
        on_progress: told a line after every epoch; what it raises ends the training.

    Raises:
        InputError: there are fewer than two photos or classes, a label map does not fit its photo or has an id that
            `classes` lacks, the start cannot be loaded, or the loss is not a number.
    """
    if len(photos) < 2 or len(classes) < 2:
        raise InputError(
            f"a segmenter needs two photos with masks and two classes or more; got {len(photos)} and {len(classes)}"
        )
    order = np.random.default_rng(seed).permutation(len(photos)).tolist()
    held_out = min(max(round(len(photos) * options.held_out), 1), len(photos) - 1)
    judged, trained = sorted(order[:held_out]), sorted(order[held_out:])

    processor = SegformerImageProcessor(size=input_size([photos[index][0].shape for index in trained], options.size))
    images, targets = resize_photos(((index, photos[index]) for index in trained), classes, processor)
    model = new_model(classes, options.start, options.layers, torch.Generator().manual_seed(seed))
    segmenter = Segmenter(model, processor)
    losses = train_segmenter(segmenter, images, targets, options, seed, on_progress)

    confusion = _confusion(segmenter, photos, judged, options.batch_size)
    iou = iou_per_class(confusion)
    return FittedSegmenter(
        segmenter=segmenter,
        losses=losses,
        iou={name: None if np.isnan(iou[i]) else float(iou[i]) for i, name in sorted(classes.items())},
        mean_iou=mean_iou(confusion),
        pixel_accuracy=pixel_accuracy(confusion),
    )


def _confusion(
    segmenter: Segmenter, photos: Sequence[LabelledPhoto], chosen: Sequence[int], batch_size: int
) -> NDArray[np.int64]:
    """Confusion matrix over photos, each at its own size; int64 [highest id + 1, highest id + 1]."""
    size = max(segmenter.classes) + 1
    confusion = np.zeros((size, size), np.int64)
    for start in range(0, len(chosen), batch_size):
        batch = [photos[index] for index in chosen[start : start + batch_size]]
        predicted = segmenter.segment([image for image, _ in batch], batch_size)
        for label_map, (_, truth) in zip(predicted, batch, strict=True):
            confusion += confusion_matrix(label_map, truth, size)
    return confusion
