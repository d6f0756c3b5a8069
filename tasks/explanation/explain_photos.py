"""From two photo files to what people look at: explanation.json, tree.png and index.html."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.explanation.explain import SegmentedPhoto, explain_pair
from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import write_page
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.record import PairExplanation
from tasks.explanation.tree_picture import write_tree_picture
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.class_ids import class_id_table
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.segmenter import load_segmenter

EXPLANATION_FILES = ("explanation.json", "tree.png", "index.html")


def explain_photos(
    trained: TrainedTree,
    photos: tuple[Path, Path],
    masks: tuple[Path | None, Path | None],
    out: Path,
    *,
    labels: tuple[str | None, str | None] = (None, None),
    place: PairPlace | None = None,
) -> PairExplanation:
    """Explain two photos and write the explanation's three files.

    Args:
        trained: the tree.
        photos: A and B.
        masks: their label maps as PNG, one byte a pixel; where None the tree's own segmenter makes it.
        out: folder for explanation.json, tree.png and index.html.
        labels: of A and of B, to show; None where unknown.
        place: the pair's place in a list of pairs, which the page links to.

    Raises:
        InputError: a photo or a mask cannot be read, a mask does not fit, or one is missing and the tree has no
            segmenter.
    """
    images = [decode_image(_read(photo), str(photo)) for photo in photos]
    given = [
        None if mask is None else _label_map(trained, mask, image) for mask, image in zip(masks, images, strict=True)
    ]
    if missing := [i for i, label_map in enumerate(given) if label_map is None]:
        made = _segment(trained, [images[i] for i in missing])
        for i, label_map in zip(missing, made, strict=True):
            given[i] = label_map
    a, b = (
        SegmentedPhoto(image=image, label_map=label_map, name=photo.name)
        for image, label_map, photo in zip(images, given, photos, strict=True)
        if label_map is not None
    )
    explanation = replace(explain_pair(trained, a, b), labels=labels)
    out.mkdir(parents=True, exist_ok=True)
    numbers, picture, page = (out / name for name in EXPLANATION_FILES)
    text = json.dumps(explanation_json(explanation), indent=1, allow_nan=False)
    numbers.write_text(text, encoding="utf-8")
    write_tree_picture(explanation, picture)
    write_page(explanation, page, place)
    return explanation


def _label_map(trained: TrainedTree, mask: Path, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    label_map = decode_label_map(_read(mask), str(mask))
    if label_map.shape != image.shape[1:]:
        raise InputError(
            f"the mask {mask} is {label_map.shape[1]} x {label_map.shape[0]} pixels, its photo "
            f"{image.shape[2]} x {image.shape[1]}: give a mask of the photo's size"
        )
    if unknown := sorted(set(np.unique(label_map).tolist()) - set(trained.classes)):
        raise InputError(
            f"the mask {mask} has the class id {unknown[0]}, which the model lacks; it has: "
            + ", ".join(f"{class_id} {name}" for class_id, name in trained.classes.items())
        )
    return label_map


def _segment(trained: TrainedTree, images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    if trained.segmenter is None:
        raise InputError("this model has no segmenter: its masks came with its photos; give --mask-a and --mask-b")
    segmenter = load_segmenter(str(trained.segmenter))
    table = class_id_table(segmenter.classes, trained.classes)
    return [table[label_map] for label_map in segmenter.segment(images)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
