"""Photos in a folder, their label maps in another, their labels in a CSV file or in the label maps.

Both folders may have the sub-folders `training` and `validation`, as ADE20K's ADEChallengeData2016 has them.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.class_names import read_class_names
from tasks.segments.dominant_label import DominantLabel, label_by_dominant
from tasks.segments.pictures import as_jpeg_or_png, check_label_map, decode_label_map
from tasks.segments.segment_label import SegmentLabel, label_by_segment
from tasks.segments.source import SPLITS, Item, Photo, Split
from tasks.segments.source_files import classes_digest, fingerprint, read_source_file
from tasks.segments.stratify import arrange_items, some

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
ID_COLUMN = "id"
SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
}


class _Row(NamedTuple):
    image_id: str
    label: str
    group: str


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A source of photos on this machine's disk. Photos that the CSV file does not list are left alone.

    If the folder of photos has a sub-folder for each split (`train` or `training`, `val` or `validation`), those splits
    are used, and the masks lie in sub-folders of the same names; else the photos are split here.

    Attributes:
        images: folder of photos (jpg, jpeg, png, webp); a photo's id is its file name without the suffix.
        labels: CSV file (UTF-8, with a header) with the column `id`; None takes all photos, labelled by a segment.
        label: the column that holds what the metric is to tell apart, or the segment that decides it, or that the
            class with the most pixels is it.
        group: the column that holds a protected attribute, or None.
        masks: folder of label maps, ID.png each, or None; a photo that lacks one is left to the segmenter.
        class_names: class table as `read_class_names` takes it; needed if there are masks.
        validation: share of the validation split, kept for every label, where the folders have none.
        split_by_label: whole labels go to one split, so that validation asks for labels that training never saw;
            `validation` is the share of the labels then.
        limit: take only so many photos, in the same proportions of labels; None takes all.
        seed: of the split and of the sample.
        name: of the data set: that of the folder that holds `images`.

    Raises:
        InputError: there is no CSV file, and the label or the group is a column.
    """

    images: Path
    labels: Path | None = None
    label: str | SegmentLabel | DominantLabel
    group: str | None = None
    masks: Path | None = None
    class_names: Path | None = None
    validation: float = 0.2
    split_by_label: bool = False
    limit: int | None = None
    seed: int = 0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        # The only way to fill a field of a frozen dataclass in. Found here, and not where a worker stands.
        object.__setattr__(self, "name", self.images.resolve().parent.name)
        if self.labels is None and isinstance(self.label, str):
            raise InputError(
                f"photos need labels: give a labels.csv with the columns {ID_COLUMN} and {self.label}, "
                "or a segment whose presence is the label"
            )
        if self.labels is None and self.group is not None:
            raise InputError(f"the group {self.group!r} is a column of labels.csv: give that file too")

    def classes(self) -> dict[int, str]:
        """Class id to name; empty without masks.

        Raises:
            InputError: there are masks, and the file of class names is missing or wrong.
        """
        if self.masks is None:
            return {}
        if self.class_names is None:
            raise InputError(f"the masks in {self.masks} need class names: give a classes.json (class id to name)")
        return read_class_names(self.class_names)

    def items(self) -> tuple[Item, ...]:
        """All listed photos, by id.

        Raises:
            InputError: a folder or file is missing, a column is not there or there twice, an id is listed twice, has no
                image or several, a label is empty, there are fewer than two labels, a label has one photo only, no
                photo has a mask, the folders have splits of their own and labels are to be split too, or as
                `label_by_segment` and `label_by_dominant`.
        """
        items, _ = self._labelled()
        return arrange_items(
            items,
            where=str(self.labels or self.images),
            validation=None if self._own_splits else self.validation,
            limit=self.limit,
            seed=self.seed,
            by_label=self.split_by_label,
        )

    def left_out(self) -> dict[str, int]:
        """Photos that are left out, by the class with the most pixels: where that is the label and is too rare.

        Raises:
            InputError: as `items`.
        """
        return self._labelled()[1]

    def unlisted(self) -> list[str]:
        """Ids of photos that the labels file does not list; none without one.

        Raises:
            InputError: a folder or file is missing or cannot be used.
        """
        if self.labels is None:
            return []
        listed = {row.image_id for row in self._rows(self.labels)}
        return [image_id for image_id in self._photos() if image_id not in listed]

    def _labelled(self) -> tuple[list[Item], dict[str, int]]:
        """All listed photos with their labels, not yet split here, and how many are left out."""
        if self.split_by_label and self._own_splits:
            raise InputError(
                f"{self.images} has a folder for each split, so the labels cannot be split: put the photos into one "
                "folder, or leave the split as it is"
            )
        files = self._photos()
        listed = self.labels or self.images
        rows = [_Row(image_id, "", "") for image_id in files] if self.labels is None else self._rows(self.labels)
        missing = [row.image_id for row in rows if row.image_id not in files]
        if missing:
            raise InputError(
                f"{self.images} has no image for {some(missing)} of {listed}: "
                f"expected ID{'|'.join(PHOTO_SUFFIXES)}; add them, or leave the rows out"
            )
        several = [row.image_id for row in rows if len(files[row.image_id]) > 1]
        if several:
            raise InputError(f"{self.images} has several images for {some(several)}: keep one file for each id")
        classes = classes_digest(self.classes())
        items = []
        for row in rows:
            split, path = files[row.image_id][0]
            mask = self._mask(row.image_id, split)
            items.append(
                Item(
                    image_id=row.image_id,
                    split=split,
                    label=row.label,
                    group=row.group or None,
                    fingerprint=fingerprint(classes, path, mask),
                )
            )
        if items and self.masks is not None and not any(self.has_mask(item) for item in items):
            raise InputError(f"{self.masks} has no mask (ID.png) for any photo of {listed}: check the folder")
        if isinstance(self.label, SegmentLabel):
            return label_by_segment(self, items, self.label), {}
        if isinstance(self.label, DominantLabel):
            return label_by_dominant(self, items, self.label)
        return items, {}

    def has_mask(self, item: Item) -> bool:
        """Whether the photo comes with a label map, told without reading it."""
        return self._mask(item.image_id, item.split) is not None

    def load(self, item: Item) -> Photo:
        """Read one photo and its label map.

        Raises:
            InputError: a file cannot be read, the label map is not one byte a pixel or of another size than the
                photo, or it has a class id without a name.
        """
        folder = self._in_split(self.images, item.split)
        files = [path for suffix in _suffixes() if (path := folder / f"{item.image_id}{suffix}").is_file()]
        if not files:
            raise InputError(f"{folder} has no image for {item.image_id!r} any more: put it back")
        path = files[0]
        data, pixels = as_jpeg_or_png(read_source_file(path), str(path))
        label_map = self.load_label_map(item)
        if label_map is not None:
            mask = str(self._mask(item.image_id, item.split))
            check_label_map(label_map, pixels, self.classes(), mask, f"{self.class_names}")
        return Photo(data, path.name, label_map)

    def load_label_map(self, item: Item) -> NDArray[np.uint8] | None:
        """Read a photo's label map alone, uint8 [h, w]; None if it has none.

        Raises:
            InputError: it cannot be read, or is not one byte a pixel.
        """
        mask = self._mask(item.image_id, item.split)
        return decode_label_map(read_source_file(mask), str(mask)) if mask is not None else None

    @cached_property
    def _own_splits(self) -> dict[Split, str]:
        """Name of the sub-folder of each split; empty if the photos are to be split here."""
        found = {split: name for name, split in SPLIT_FOLDERS.items() if (self.images / name).is_dir()}
        return found if len(found) == len(SPLITS) else {}

    def _in_split(self, folder: Path, split: Split) -> Path:
        return folder / self._own_splits[split] if self._own_splits else folder

    def _mask(self, image_id: str, split: Split) -> Path | None:
        path = self._in_split(self.masks, split) / f"{image_id}.png" if self.masks is not None else None
        return path if path is not None and path.is_file() else None

    def _photos(self) -> dict[str, list[tuple[Split, Path]]]:
        """Split and file of every photo by its id; more than one where names clash."""
        if not self.images.is_dir():
            raise InputError(f"images folder {self.images} is missing: give the folder that holds the photos")
        files: dict[str, list[tuple[Split, Path]]] = defaultdict(list)
        splits: tuple[Split, ...] = SPLITS if self._own_splits else ("train",)
        for split in splits:
            for path in sorted(self._in_split(self.images, split).iterdir()):
                if path.suffix in _suffixes():
                    files[path.stem].append((split, path))
        return files

    def _rows(self, labels: Path) -> list[_Row]:
        """The photos that the CSV file lists; without a label where a segment decides it."""
        label = self.label if isinstance(self.label, str) else None
        try:
            with labels.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                columns = list(reader.fieldnames or ())
                for column in (ID_COLUMN, label, self.group):
                    if column is not None and column not in columns:
                        commas = (
                            "; save it with commas between columns" if len(columns) == 1 and ";" in columns[0] else ""
                        )
                        raise InputError(
                            f"{labels} has no column {column!r}: it has {', '.join(columns) or 'none'}{commas}"
                        )
                    if column is not None and columns.count(column) > 1:
                        raise InputError(f"{labels} has the column {column!r} twice: rename one of them")
                rows = list(reader)
        except FileNotFoundError:
            raise InputError(f"labels file {labels} is missing: a CSV with an id and a label column") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"labels file {labels} cannot be read ({error}): save it as CSV in UTF-8") from error
        return [_Row(_cell(row, ID_COLUMN), _cell(row, label), _cell(row, self.group)) for row in rows]


def _suffixes() -> tuple[str, ...]:
    return (*PHOTO_SUFFIXES, *(suffix.upper() for suffix in PHOTO_SUFFIXES))


def _cell(row: dict[str, str | None], column: str | None) -> str:
    """A cell's text; a row that is too short has None in its last cells."""
    return ((row.get(column) if column is not None else None) or "").strip()
