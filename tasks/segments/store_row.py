"""A row of the segment store: one image with its label map, what is checked of it, and its digest."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.picture_size import fits
from tasks.segments.provenance import ROW_KINDS, Provenance
from tasks.segments.source import Split


@dataclass(frozen=True, kw_only=True)
class Row:
    """One image of the store.

    Attributes:
        image_id: unique in the store.
        split: "train" or "validation".
        label: what the metric is to tell apart.
        group: a protected attribute, or None.
        image: JPEG or PNG bytes as they came.
        image_path: their file name.
        mask: PNG bytes of the label map, one byte a pixel.
        segments: what `describe_segments` says of the label map.
        provenance: how a synthetic row was made; None for a photo. Rows of the validation split are photos.
    """

    image_id: str
    split: Split
    label: str
    group: str | None
    image: bytes
    image_path: str
    mask: bytes
    segments: list[dict[str, Any]]
    provenance: Provenance | None = None


def describe_segments(label_map: NDArray[np.uint8], classes: Mapping[int, str]) -> list[dict[str, Any]]:
    """Area and bounding box of every class in a label map.

    Args:
        label_map: uint8 [h, w].
        classes: class id to name.

    Returns:
        For each class that occurs, by id: name, class_id, area in pixels, and the box [top, bottom) x [left, right).

    Raises:
        InputError: the label map has an id that is not among the classes.
    """
    segments = []
    for class_id in np.flatnonzero(np.bincount(label_map.ravel(), minlength=256)).tolist():
        if class_id not in classes:
            raise InputError(
                f"the label map has the class id {class_id}, which the class table lacks; it has: "
                f"{', '.join(map(str, sorted(classes)))}"
            )
        where = label_map == class_id
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        segments.append(
            {
                "name": classes[class_id],
                "class_id": class_id,
                "area": int(where.sum()),
                "top": int(rows[0]),
                "left": int(columns[0]),
                "bottom": int(rows[-1]) + 1,
                "right": int(columns[-1]) + 1,
            }
        )
    return segments


def row_of(fields: dict[str, Any], path: Path) -> Row:
    """A row from its columns as a shard holds them.

    Raises:
        InputError: as `check_photo`, or the mask is of another size than the photo.
    """
    image, mask, made = (fields[name] for name in ("image", "mask", "provenance"))
    pictures = {"image": image["bytes"], "image_path": image["path"], "mask": mask["bytes"]}
    row = Row(**{**fields, **pictures, "provenance": None if made is None else Provenance(**made)})
    check_photo(row, path)
    if not fits(row.mask, row.image):
        raise InputError(f"{path}: the mask of {row.image_id} is of another size than its photo: mend it")
    return row


def check_photo(row: Row, path: Path) -> None:
    """Check that a shard's row may stand there: results are reported on photos only.

    Args:
        row: the row.
        path: of the shard.

    Raises:
        InputError: a row of a validation shard is synthetic, or a synthetic one was made in an unknown way.
    """
    if row.provenance is not None and row.provenance.kind not in ROW_KINDS:
        raise InputError(f"{path}: {row.image_id} was made in an unknown way, {row.provenance.kind!r}: make it again")
    if row.provenance is not None and path.parent.name == "split=validation":
        raise InputError(
            f"{path}: {row.image_id} is synthetic ({row.provenance.kind}), and results are reported on photos only: "
            "leave it out of the validation split"
        )


def rows_digest(rows: Sequence[Row]) -> str:
    """SHA-256 over rows: all that results depend on, so neither file names nor what is derived from the masks."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row_digest(row))
    return digest.hexdigest()


def row_digest(row: Row) -> bytes:
    """What `rows_digest` takes in of a row."""
    made = () if row.provenance is None else astuple(row.provenance)
    fields = (row.image_id, row.split, row.label, row.group)
    pictures = (hashlib.sha256(data).hexdigest() for data in (row.image, row.mask))
    return json.dumps([*fields, *pictures, *made]).encode()
