"""A segmenter for a source: trained on the photos that have masks, kept with its figures, not trained twice."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.segments.fit_segmenter import fit_segmenter
from tasks.segments.pictures import decode_image
from tasks.segments.segmenter import Segmenter
from tasks.segments.segmenter_options import SegmenterOptions
from tasks.segments.source import Source

FIT_FILE = "fit.json"
FIT_VERSION = 1  # raise it when a change to the training gives other weights
LEAST_PHOTOS = 8
SEED = 0  # of weights, held-out share and augmentation


def fit_on_source(
    source: Source, options: SegmenterOptions, folder: Path, on_progress: Callable[[str], None]
) -> dict[str, Any]:
    """Train a segmenter on the training photos that have masks and keep it, unless the folder holds this very one.

    Args:
        source: the photos.
        options: architecture and training.
        folder: where it is kept.
        on_progress: told a line now and then.

    Returns:
        "segmenter_iou" (class name to IoU on held-out photos, None where no such photo has the class),
        "segmenter_miou", "segmenter_accuracy" (of pixels), "segmenter_photos".

    Raises:
        InputError: fewer than 8 training photos have masks, or one cannot be read.
    """
    key = _key(source, options)
    if _read(folder).get("key") == key:
        return read_fit_notes(folder)
    items = [item for item in source.items() if item.split == "train" and source.has_mask(item)]
    if len(items) < LEAST_PHOTOS:
        raise InputError(
            f"{len(items)} training photos have masks; {LEAST_PHOTOS} or more are needed to train a segmenter"
        )
    photos = []
    for item in items:
        photo = source.load(item)
        assert photo.label_map is not None
        photos.append((decode_image(photo.image, photo.path), photo.label_map))
    fitted = fit_segmenter(photos, source.classes(), options, SEED, on_progress)
    keep(fitted.segmenter, folder)
    notes = {
        "segmenter_iou": fitted.iou,
        "segmenter_miou": fitted.mean_iou,
        "segmenter_accuracy": fitted.pixel_accuracy,
        "segmenter_photos": len(photos),
    }
    (folder / FIT_FILE).write_text(json.dumps({"key": key, "notes": notes}, indent=1), encoding="utf-8")
    return notes


def keep(segmenter: Segmenter, folder: Path) -> None:
    """Save a segmenter into a folder, which is marked as ours from the start."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIT_FILE).write_text("{}", encoding="utf-8")
    segmenter.save(folder)


def is_fitted(source: Source, options: SegmenterOptions, folder: Path) -> bool:
    """Whether the folder holds the segmenter that `fit_on_source` would train."""
    return _read(folder).get("key") == _key(source, options)


def read_fit_notes(folder: Path | None) -> dict[str, Any]:
    """What `fit_on_source` returned when it trained the segmenter in the folder; empty for any other segmenter."""
    return dict(_read(folder).get("notes", {})) if folder else {}


def _key(source: Source, options: SegmenterOptions) -> str:
    items = [astuple(item) for item in source.items() if item.split == "train" and source.has_mask(item)]
    described = json.dumps([FIT_VERSION, items, sorted(source.classes().items()), asdict(options), SEED])
    return hashlib.sha256(described.encode() + _content(options.start)).hexdigest()


def _content(start: str | None) -> bytes:
    """Digests of what a training that starts from a folder reads there; nothing for a name on the hub."""
    files = sorted(Path(start).glob("*")) if start else []
    return b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files if path.is_file())


def _read(folder: Path) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads((folder / FIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return fields
