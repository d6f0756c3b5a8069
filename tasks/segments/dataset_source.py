"""Photos of a Hugging Face data set: by its name on the hub, or from Parquet files on this machine.

What is pickled of a source is only its description: each process opens the data set once.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.class_names import check_class_names, class_table_names, read_class_names
from tasks.segments.inside import is_inside
from tasks.segments.opened_dataset import (
    OpenedDataset,
    filled,
    named_classes,
    one_column,
    open_dataset,
    own_folders,
    texts,
)
from tasks.segments.pictures import as_jpeg_or_png, check_label_map, decode_label_map
from tasks.segments.segment_label import SegmentLabel, label_by_segment
from tasks.segments.source import Item, Photo, Split
from tasks.segments.source_files import read_source_file
from tasks.segments.stratify import arrange_items


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """A source of photos in a Hugging Face data set.

    If the data set has a training split and one named as in `opened_dataset.VALIDATION_NAMES`, those are used; else
    its photos are split here. Photos are named by their row.

    Attributes:
        dataset: name on the hub, or a Parquet file, or a folder of Parquet files.
        image: column of photos.
        label: column of what the metric is to tell apart: text, whole number, yes/no, or a class label (its name is
            taken); or the segment that decides it.
        mask: column of label maps, or None; a photo whose cell is empty is left to the segmenter.
        group: column of a protected attribute, or None.
        class_names: class table as `read_class_names` takes it, or pairs of class id and name, or None to take them
            from the data set: a class label inside a nested column, or a column `segments` as the segment store has it.
        subset: the data set's configuration on the hub, or None.
        revision: branch, tag or commit on the hub, or None for the newest.
        validation: share of the validation split, where the data set has none.
        limit: take only so many photos, in the same proportions of splits and labels; None takes all.
        seed: of the split and of the sample.
    """

    dataset: str
    image: str = "image"
    label: str | SegmentLabel = "label"
    mask: str | None = None
    group: str | None = None
    class_names: Path | tuple[tuple[int, str], ...] | None = None
    subset: str | None = None
    revision: str | None = None
    validation: float = 0.2
    limit: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the data set: the last part of `dataset`."""
        return Path(self.dataset).stem

    def classes(self) -> dict[int, str]:
        """Class id to name; empty without masks.

        Raises:
            InputError: there are masks and no class names, or wrong ones, or the data set cannot be opened.
        """
        if self.mask is None:
            return {}
        if isinstance(self.class_names, Path):
            return read_class_names(self.class_names)
        if self.class_names is not None:
            return check_class_names(dict(self.class_names), "class_names")
        found = named_classes(self._opened)
        if not found:
            raise InputError(
                f"data set {self.dataset} does not name the classes of its masks: give a classes.json, "
                f"or one of {', '.join(class_table_names())}"
            )
        return check_class_names(found, f"data set {self.dataset}")

    def items(self) -> tuple[Item, ...]:
        """All photos, by their row.

        Raises:
            InputError: the data set cannot be opened, lacks a column or a label, has fewer than two labels, or as
                `label_by_segment`.
        """
        opened = self._opened
        facts = [json.dumps(self.classes(), sort_keys=True), opened.version, self.image, self.mask]
        version = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        items = []
        for split in opened.tables:
            labels, groups = (texts(opened, split, column) for column in (self._label_column, self.group))
            items += [
                Item(
                    image_id=f"{split}-{row:07d}" if opened.own_splits else f"{row:07d}",
                    split=split,
                    label=label,
                    group=group or None,
                    fingerprint=version,
                )
                for row, (label, group) in enumerate(zip(labels, groups, strict=True))
            ]
        if isinstance(self.label, SegmentLabel):
            items = label_by_segment(self, items, self.label)
        return arrange_items(
            items,
            where=f"data set {self.dataset}",
            validation=None if opened.own_splits else self.validation,
            limit=self.limit,
            seed=self.seed,
        )

    def has_mask(self, item: Item) -> bool:
        """Whether the photo comes with a label map, told without reading it."""
        split, row = _place(item)
        return self.mask is not None and filled(self._opened, self.mask)[split][row]

    def load(self, item: Item) -> Photo:
        """Read one photo and its label map.

        Raises:
            InputError: the photo is missing or cannot be read, the label map is not one byte a pixel or of another
                size than the photo, or it has a class id without a name.
        """
        data, path = self._cell(item, self.image)
        where = f"{self.image} of row {item.image_id} in {self.dataset}"
        if data is None:
            raise InputError(f"{where} is empty: leave the row out")
        data, pixels = as_jpeg_or_png(data, where)
        label_map = self.load_label_map(item)
        if label_map is not None:
            check_label_map(label_map, pixels, self.classes(), self._mask_of(item), "the class table")
        return Photo(data, path or item.image_id, label_map)

    def load_label_map(self, item: Item) -> NDArray[np.uint8] | None:
        """Read a photo's label map alone, uint8 [h, w]; None if it has none.

        Raises:
            InputError: it cannot be read, or is not one byte a pixel.
        """
        mask = self._cell(item, self.mask)[0] if self.mask is not None else None
        return decode_label_map(mask, self._mask_of(item)) if mask is not None else None

    @property
    def _label_column(self) -> str | None:
        return self.label if isinstance(self.label, str) else None

    @property
    def _opened(self) -> OpenedDataset:
        columns = (self.image, self._label_column, self.mask, self.group)
        asked = tuple(column for column in columns if column is not None)
        return open_dataset(self.dataset, self.subset, self.revision, asked)

    def _mask_of(self, item: Item) -> str:
        return f"{self.mask} of row {item.image_id} in {self.dataset}"

    def _cell(self, item: Item, column: str) -> tuple[bytes | None, str]:
        """A picture's bytes as they came (None if the cell is empty), and its file name ("" if none)."""
        split, row = _place(item)
        value = one_column(self._opened, split, column)[row][column]
        if isinstance(value, dict):
            path = str(value.get("path") or "")
            data = value.get("bytes")
            if data is None and path:
                data = self._outside(path, item)
            return data, Path(path).name
        if value is None or isinstance(value, bytes):
            return value, ""
        raise InputError(
            f"column {column!r} of data set {self.dataset} holds {type(value).__name__}, no pictures: "
            "name a column of images (bytes of JPEG or PNG)"
        )

    def _outside(self, path: str, item: Item) -> bytes:
        """The bytes of a picture that a cell names by its path, which has to be the data set's own.

        A data set from elsewhere could else have any file of this machine taken for a photo.
        """
        folders = own_folders(self.dataset)
        found = folders[0] / path
        if not any(is_inside(found, folder) for folder in folders):
            raise InputError(
                f"photo {item.image_id} is said to be {path}, which is not below {folders[0]}: copy it there"
            )
        return read_source_file(found)


def _place(item: Item) -> tuple[Split, int]:
    """The split and row that `items` made an item's id of."""
    split, _, row = item.image_id.rpartition("-")
    return ("validation" if split == "validation" else "train"), int(row)
