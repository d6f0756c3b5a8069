"""Photos and their label maps as a segmenter is trained on them: all at the size of its input."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import SegformerImageProcessor

from tasks.errors import InputError
from tasks.segments.segmenter_options import SIDE_STEP

LabelledPhoto = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def input_size(shapes: Sequence[tuple[int, ...]], longer: int) -> dict[str, int]:
    """Height and width of the model's input: the photos' median proportions, in steps of 32 pixels.

    Args:
        shapes: 3, height and width of each photo.
        longer: the longer side of the input.
    """
    ratio = float(np.median([height / width for _, height, width in shapes]))
    shorter = max(round(longer * min(ratio, 1 / ratio) / SIDE_STEP), 1) * SIDE_STEP
    height, width = (longer, shorter) if ratio >= 1 else (shorter, longer)
    return {"height": height, "width": width}


def resize_photos(
    photos: Iterable[tuple[int, LabelledPhoto]], classes: Mapping[int, str], processor: SegformerImageProcessor
) -> tuple[Tensor, Tensor]:
    """Photos and label maps at the model's input size.

    Args:
        photos: index of each, its image uint8 [3, h, w] and its label map uint8 [h, w].
        classes: class id to name.
        processor: that resizes them.

    Returns:
        uint8 [n, 3, height, width], and uint8 [n, height, width] of places in the sorted class ids.

    Raises:
        InputError: a label map does not fit its photo, or has an id that `classes` lacks.
    """
    places = np.zeros(256, np.uint8)
    places[sorted(classes)] = np.arange(len(classes))
    resize: Any = processor  # whose call lacks annotations for label maps
    images, targets = [], []
    for index, (image, label_map) in photos:
        if label_map.shape != image.shape[1:]:
            raise InputError(
                f"label map of photo {index} is {label_map.shape}, its photo {image.shape[1:]}: make them the same size"
            )
        unknown = np.setdiff1d(label_map, list(classes))
        if len(unknown):
            raise InputError(f"label map of photo {index} has the class id {unknown[0]}, which has no name: add it")
        sized = resize(
            torch.from_numpy(image.copy()),
            segmentation_maps=torch.from_numpy(places[label_map]),
            input_data_format="channels_first",
            do_rescale=False,
            do_normalize=False,
        )
        images.append(sized["pixel_values"][0])
        targets.append(sized["labels"][0].to(torch.uint8))
    return torch.stack(images), torch.stack(targets)
