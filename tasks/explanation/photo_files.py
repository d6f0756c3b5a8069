"""Photo files with their label maps: read from mask files, or made by the tree's own segmenter."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.explanation.explain import SegmentedPhoto
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.class_ids import class_id_table
from tasks.segments.pictures import check_label_map, decode_image, decode_label_map
from tasks.segments.source_files import read_source_file


def segmented_photos(
    trained: TrainedTree, photos: Sequence[Path], masks: Sequence[Path | None], mask_options: Sequence[str]
) -> list[SegmentedPhoto]:
    """Read photos and find their parts.

    Args:
        trained: the tree.
        photos: files.
        masks: a label map for each, PNG, one byte a pixel; where None the tree's own segmenter makes it.
        mask_options: by which options of the command line they can be given, for the message.

    Raises:
        InputError: a photo or a mask cannot be read, a mask does not fit, or one is missing and the tree has no
            segmenter.
    """
    images = [decode_image(read_source_file(photo), str(photo)) for photo in photos]
    label_maps = [
        None if mask is None else _label_map(trained, mask, image) for mask, image in zip(masks, images, strict=True)
    ]
    if missing := [i for i, label_map in enumerate(label_maps) if label_map is None]:
        made = _segment(trained, [images[i] for i in missing], mask_options)
        for i, label_map in zip(missing, made, strict=True):
            label_maps[i] = label_map
    return [
        SegmentedPhoto(image=image, label_map=label_map, name=photo.name)
        for image, label_map, photo in zip(images, label_maps, photos, strict=True)
        if label_map is not None
    ]


def _label_map(trained: TrainedTree, mask: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    label_map = decode_label_map(read_source_file(mask), str(mask))
    known = ", ".join(f"{class_id} {name}" for class_id, name in trained.classes.items())
    check_label_map(label_map, image, trained.classes, str(mask), f"the model ({known})")
    return label_map


def _segment(
    trained: TrainedTree, images: list[NDArray[np.uint8]], mask_options: Sequence[str]
) -> list[NDArray[np.uint8]]:
    segmenter = trained.loaded_segmenter
    if segmenter is None:
        raise InputError(
            "this model has no segmenter: its masks came with its photos; give " + " and ".join(mask_options)
        )
    table = class_id_table(segmenter.classes, trained.classes)
    return [table[label_map] for label_map in segmenter.segment(images)]
