"""Caltech-UCSD Birds-200-2011 (Wah et al. 2011) as it is unpacked: photos, classes, splits and segmentations.

The segmentations are a download of their own. They say of every pixel how many of five annotators saw the bird there,
0 to 255; where most did, above 127, we take it for the bird (our reading).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.pictures import as_jpeg_or_png, check_label_map, decode_image
from tasks.segments.source import Item, Photo, Split
from tasks.segments.source_files import classes_digest, fingerprint, read_source_file
from tasks.segments.stratify import arrange_items, some

CLASSES = {0: "background", 1: "bird"}
MOST_ANNOTATORS = 127  # grey above which at least three of five saw the bird


@dataclass(frozen=True, kw_only=True)
class CubSource:
    """A source of CUB-200-2011's photos, labelled by their class.

    A photo's id is its file name without the suffix. Without segmentations the label maps are left to a segmenter.

    Attributes:
        folder: with `images.txt`, `image_class_labels.txt`, `classes.txt`, `train_test_split.txt` and `images`. The
            folder `segmentations` is looked for in it and beside it.
        by_class: the first half of the classes, by their numbers, trains and the second half validates, as the field
            of retrieval does it (with 200 classes 100 and 100); else `train_test_split.txt` says which photos train.
        limit: take only so many photos, in the same proportions of splits and labels; None takes all.
        seed: of the sample.
        name: of the data set.
    """

    folder: Path
    by_class: bool = True
    limit: int | None = None
    seed: int = 0
    name: str = "cub-200-2011"

    def classes(self) -> dict[int, str]:
        """Class id to name; empty without segmentations."""
        return {} if self._segmentations is None else dict(CLASSES)

    def items(self) -> tuple[Item, ...]:
        """All photos, by id.

        Raises:
            InputError: a file is missing or not as described, the files do not fit together, a photo is missing, there
                is no segmentation for any photo, or as `arrange_items`.
        """
        paths = self._table("images.txt")
        labels, names = self._table("image_class_labels.txt"), self._table("classes.txt")
        splits = self._splits(paths, labels, names)
        if missing := [paths[photo] for photo in paths if not self._photo(paths[photo]).is_file()]:
            raise InputError(
                f"{self.folder / 'images'} has no photo {some(missing)} of images.txt: unpack CUB_200_2011.tgz anew"
            )
        digest = classes_digest(self.classes())
        items = [
            Item(
                image_id=PurePosixPath(path).stem,
                split=splits[photo],
                label=names[labels[photo]],
                fingerprint=fingerprint(digest, self._photo(path), self._mask(path)),
            )
            for photo, path in paths.items()
        ]
        if items and self._segmentations is not None and not any(self.has_mask(item) for item in items):
            raise InputError(
                f"{self._segmentations} has no segmentation of any photo: unpack segmentations.tgz, or take the folder "
                "away and name a segmenter"
            )
        where = str(self.folder / "images.txt")
        return arrange_items(items, where=where, validation=None, limit=self.limit, seed=self.seed)

    def has_mask(self, item: Item) -> bool:
        """Whether the photo has a segmentation, told without reading it."""
        return self._mask(self._paths[item.image_id]) is not None

    def load(self, item: Item) -> Photo:
        """Read one photo and its segmentation.

        Raises:
            InputError: a file cannot be read, or the two differ in size.
        """
        path = self._photo(self._paths[item.image_id])
        data, pixels = as_jpeg_or_png(read_source_file(path), str(path))
        label_map = self.load_label_map(item)
        if label_map is not None:
            check_label_map(label_map, pixels, CLASSES, str(self._mask(self._paths[item.image_id])), "CUB")
        return Photo(data, path.name, label_map)

    def load_label_map(self, item: Item) -> NDArray[np.uint8] | None:
        """Read a photo's segmentation alone: uint8 [h, w], 1 where most annotators saw the bird; None if it has none.

        Raises:
            InputError: it cannot be read.
        """
        mask = self._mask(self._paths[item.image_id])
        if mask is None:
            return None
        # Grey, also where it is kept as RGB or with alpha.
        agreement = decode_image(read_source_file(mask), str(mask))[0]
        label_map: NDArray[np.uint8] = (agreement > MOST_ANNOTATORS).astype(np.uint8)
        return label_map

    def _splits(
        self, paths: Mapping[str, str], labels: Mapping[str, str], names: Mapping[str, str]
    ) -> dict[str, Split]:
        """Split of every photo."""
        _check_rows(self.folder / "image_class_labels.txt", labels, paths)
        if unknown := [labels[photo] for photo in paths if labels[photo] not in names]:
            raise InputError(
                f"{self.folder / 'classes.txt'} has no class {some(unknown)}: unpack CUB_200_2011.tgz anew"
            )
        if self.by_class:
            file = self.folder / "classes.txt"
            first = set(sorted(names, key=lambda number: _number(file, number))[: len(names) // 2])
            return {photo: "train" if labels[photo] in first else "validation" for photo in paths}
        trains = self._table("train_test_split.txt")
        _check_rows(self.folder / "train_test_split.txt", trains, paths)
        if odd := sorted(set(trains.values()) - {"0", "1"}):
            raise InputError(f"{self.folder / 'train_test_split.txt'} says {odd[0]!r} of a photo: expected 1 or 0")
        return {photo: "train" if trains[photo] == "1" else "validation" for photo in paths}

    @cached_property
    def _paths(self) -> dict[str, str]:
        """Path below `images` of every photo by its id."""
        return {PurePosixPath(path).stem: path for path in self._table("images.txt").values()}

    def _photo(self, path: str) -> Path:
        return self.folder / "images" / path

    def _mask(self, path: str) -> Path | None:
        if self._segmentations is None:
            return None
        mask = (self._segmentations / path).with_suffix(".png")
        return mask if mask.is_file() else None

    @cached_property
    def _segmentations(self) -> Path | None:
        places = (self.folder / "segmentations", self.folder.resolve().parent / "segmentations")
        return next((place for place in places if place.is_dir()), None)

    def _table(self, name: str) -> dict[str, str]:
        """A file of lines "number value", by number."""
        file = self.folder / name
        try:
            rows = [line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except FileNotFoundError:
            raise InputError(f"{file} is missing: give the folder that CUB_200_2011.tgz unpacks to") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read ({error}): unpack CUB_200_2011.tgz anew") from error
        if wrong := [row for row in rows if len(row) != 2]:
            raise InputError(f"{file} has the line {' '.join(wrong[0])!r}: expected a number and a value")
        table = {number: value.strip() for number, value in rows}
        if len(table) < len(rows):
            raise InputError(f"{file} has a number twice: unpack CUB_200_2011.tgz anew")
        if name == "images.txt" and (outside := [path for path in table.values() if not _inside(path)]):
            raise InputError(f"{file} names {some(outside)}, which is not below the folder of photos: take it out")
        return table


def _check_rows(file: Path, rows: Mapping[str, str], photos: Mapping[str, str]) -> None:
    if missing := [photo for photo in photos if photo not in rows]:
        raise InputError(f"{file} has no line for photo {some(missing)} of images.txt: unpack CUB_200_2011.tgz anew")


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts


def _number(file: Path, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{file} numbers a class {text!r}: expected a whole number") from None
