"""Photos in a folder, their label maps in another, their labels in a CSV file."""

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.pictures import as_jpeg_or_png, check_label_map, decode_label_map
from tasks.segments.source import Item, Photo
from tasks.segments.stratify import arrange_items, some

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
ID_COLUMN = "id"


class _Row(NamedTuple):
    image_id: str
    label: str
    group: str


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A source of photos on this machine's disk. Photos that the CSV file does not list are left alone.

    Attributes:
        images: folder of photos (jpg, jpeg, png, webp); a photo's id is its file name without the suffix.
        labels: CSV file (UTF-8, with a header) with the column `id`.
        label: the column that holds what the metric is to tell apart.
        group: the column that holds a protected attribute, or None.
        masks: folder of label maps, ID.png each, or None; a photo that lacks one is left to the segmenter.
        class_names: JSON file, `{"0": "background", ...}` or a list of names; needed if there are masks.
        validation: share of the validation split, kept for every label.
        limit: take only so many photos, in the same proportions of labels; None takes all.
        seed: of the split and of the sample.
        name: of the data set; empty for the name of the folder that holds `images`.
    """

    images: Path
    labels: Path
    label: str
    group: str | None = None
    masks: Path | None = None
    class_names: Path | None = None
    validation: float = 0.2
    limit: int | None = None
    seed: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            # The only way to fill a field of a frozen dataclass in from another one.
            object.__setattr__(self, "name", self.images.resolve().parent.name)

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
            InputError: a folder or file is missing, a column is not there, an id is listed twice, has no image or
                several, a label is empty, there are fewer than two labels, a label has one photo only, or no photo
                has a mask.
        """
        files = _photos_by_id(self.images)
        rows = self._rows()
        missing = [row.image_id for row in rows if row.image_id not in files]
        if missing:
            raise InputError(
                f"{self.images} has no image for {some(missing)} of {self.labels}: "
                f"expected ID{'|'.join(PHOTO_SUFFIXES)}; add them, or leave the rows out"
            )
        several = [row.image_id for row in rows if len(files[row.image_id]) > 1]
        if several:
            raise InputError(f"{self.images} has several images for {some(several)}: keep one file for each id")
        classes = hashlib.sha256(json.dumps(self.classes(), sort_keys=True).encode()).hexdigest()
        items = [
            Item(
                image_id=row.image_id,
                split="train",
                label=row.label,
                group=row.group or None,
                fingerprint=_fingerprint(classes, files[row.image_id][0], self._mask(row.image_id)),
            )
            for row in rows
        ]
        if items and self.masks is not None and not any(self.has_mask(item) for item in items):
            raise InputError(f"{self.masks} has no mask (ID.png) for any photo of {self.labels}: check the folder")
        return arrange_items(
            items, where=str(self.labels), validation=self.validation, limit=self.limit, seed=self.seed
        )

    def has_mask(self, item: Item) -> bool:
        """Whether the photo comes with a label map, told without reading it."""
        return self._mask(item.image_id) is not None

    def load(self, item: Item) -> Photo:
        """Read one photo and its label map.

        Raises:
            InputError: a file cannot be read, the label map is not one byte a pixel or of another size than the
                photo, or it has a class id without a name.
        """
        files = [path for suffix in _suffixes() if (path := self.images / f"{item.image_id}{suffix}").is_file()]
        if not files:
            raise InputError(f"{self.images} has no image for {item.image_id!r} any more: put it back")
        path = files[0]
        data, pixels = as_jpeg_or_png(_read(path), str(path))
        mask = self._mask(item.image_id)
        label_map: NDArray[np.uint8] | None = None
        if mask is not None:
            label_map = decode_label_map(_read(mask), str(mask))
            check_label_map(label_map, pixels, self.classes(), str(mask), f"{self.class_names}")
        return Photo(data, path.name, label_map)

    def _mask(self, image_id: str) -> Path | None:
        path = self.masks / f"{image_id}.png" if self.masks is not None else None
        return path if path is not None and path.is_file() else None

    def _rows(self) -> list[_Row]:
        try:
            with self.labels.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                columns = list(reader.fieldnames or ())
                for column in (ID_COLUMN, self.label, *([self.group] if self.group is not None else [])):
                    if column not in columns:
                        raise InputError(
                            f"{self.labels} has no column {column!r}: it has {', '.join(columns) or 'none'}"
                        )
                rows = list(reader)
        except FileNotFoundError:
            raise InputError(f"labels file {self.labels} is missing: a CSV with an id and a label column") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"labels file {self.labels} cannot be read ({error}): save it as CSV in UTF-8") from error
        return [_Row(_cell(row, ID_COLUMN), _cell(row, self.label), _cell(row, self.group)) for row in rows]


def read_class_names(path: Path) -> dict[int, str]:
    """Read a class table.

    Args:
        path: JSON file, `{"0": "background", ...}`, or a list of names whose places are the ids.

    Returns:
        Class id (0..255) to name, by id.

    Raises:
        InputError: the file is missing or no such JSON, an id is not in 0..255, or a name is empty or occurs twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"class names file {path} is missing: a JSON file, class id to name") from None
    except (OSError, ValueError) as error:
        raise InputError(f"class names file {path} cannot be read ({error}): save it as JSON in UTF-8") from error
    entries = dict(enumerate(content)) if isinstance(content, list) else content
    try:
        table = {int(class_id): name for class_id, name in entries.items()}
    except (AttributeError, ValueError):
        table = {}
    return check_class_names(table, str(path))


def check_class_names(table: Mapping[int, object], where: str) -> dict[int, str]:
    """The table by id, if every id is in 0..255 and every name is a text that occurs once; else InputError."""
    names = [name.strip() for name in table.values() if isinstance(name, str) and name.strip()]
    if not table or len(names) < len(table) or len(set(names)) < len(names):
        raise InputError(f'{where} is no class table: it needs one name for each id, as in {{"0": "background", ...}}')
    outside = [class_id for class_id in table if not 0 <= class_id <= 255]
    if outside:
        raise InputError(f"{where} has the class id {outside[0]}: ids are 0..255, for a mask holds one byte a pixel")
    return {class_id: str(table[class_id]).strip() for class_id in sorted(table)}


def _photos_by_id(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise InputError(f"images folder {folder} is missing: give the folder that holds the photos")
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix in _suffixes():
            files[path.stem].append(path)
    return files


def _suffixes() -> tuple[str, ...]:
    return (*PHOTO_SUFFIXES, *(suffix.upper() for suffix in PHOTO_SUFFIXES))


def _cell(row: dict[str, str | None], column: str | None) -> str:
    """A cell's text; a row that is too short has None in its last cells."""
    return ((row.get(column) if column is not None else None) or "").strip()


def _fingerprint(classes: str, image: Path, mask: Path | None) -> str:
    stats = [path.stat() for path in (image, mask) if path is not None]
    facts = [classes, image.name, *((stat.st_size, stat.st_mtime_ns) for stat in stats)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file and its permissions") from error
