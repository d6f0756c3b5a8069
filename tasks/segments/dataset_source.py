"""Photos of a Hugging Face data set: by its name on the hub, or from Parquet files on this machine.

`datasets` is imported where it is used, so that the rest of the project runs without it. A source opens its data set
once a process; what is pickled is only its description.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import InputError
from tasks.segments.class_names import check_class_names, class_table_names, read_class_names
from tasks.segments.inside import is_inside
from tasks.segments.pictures import as_jpeg_or_png, check_label_map, decode_label_map
from tasks.segments.segment_label import SegmentLabel, label_by_segment
from tasks.segments.source import Item, Photo, Split
from tasks.segments.source_files import read_source_file
from tasks.segments.stratify import arrange_items

# How the splits of published data sets are called; the first that is there becomes our validation split.
VALIDATION_NAMES = ("validation", "valid", "val", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """A source of photos in a Hugging Face data set.

    If the data set has a training split and one named as in `VALIDATION_NAMES`, those are used; else its photos are
    split here. Photos are named by their row.

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
        name: of the data set; empty for the last part of `dataset`.
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
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            # The only way to fill a field of a frozen dataclass in from another one.
            object.__setattr__(self, "name", Path(self.dataset).stem)

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
        found = _class_names(_open(self))
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
        opened = _open(self)
        facts = [json.dumps(self.classes(), sort_keys=True), opened.version, self.image, self.mask]
        version = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        items = []
        for split, table in opened.tables.items():
            label = self.label if isinstance(self.label, str) else None
            labels, groups = (_texts(table, column, self.dataset) for column in (label, self.group))
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
        return self.mask is not None and _filled(self)[split][row]

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

    def _mask_of(self, item: Item) -> str:
        return f"{self.mask} of row {item.image_id} in {self.dataset}"

    def _cell(self, item: Item, column: str) -> tuple[bytes | None, str]:
        """A picture's bytes as they came (None if the cell is empty), and its file name ("" if none)."""
        split, row = _place(item)
        value = _column(self, split, column)[row][column]
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
        folders = _own_folders(self.dataset)
        found = folders[0] / path
        if not any(is_inside(found, folder) for folder in folders):
            raise InputError(
                f"photo {item.image_id} is said to be {path}, which is not below {folders[0]}: copy it there"
            )
        return read_source_file(found)


@dataclass(frozen=True, eq=False)
class _Opened:
    """An opened data set.

    Attributes:
        tables: `datasets.Dataset` of each split; only "train" if the data set has no splits that we use.
        own_splits: whether the splits are the data set's own.
        version: changes when the data do.
    """

    tables: dict[Split, Any]
    own_splits: bool
    version: str


@lru_cache(maxsize=4)
def _open(source: DatasetSource) -> _Opened:
    """Open the data set of a source, once a process."""
    datasets = _library()
    name, local = source.dataset, _local_files(source.dataset)
    try:
        if local is None:
            found = datasets.load_dataset(name, source.subset, revision=source.revision)
        else:
            files = {split: [str(path) for path in paths] for split, paths in local.items()}
            found = datasets.load_dataset("parquet", data_files=files)
    except Exception as error:  # whatever the hub, the network, pyarrow or the format make it raise
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        advice = "check the file" if local is not None else "check the name and the network, or give a Parquet file"
        raise InputError(f"data set {name} cannot be opened ({line}): {advice}") from error
    tables, own_splits = _choose_splits(dict(found), name)
    for split, table in tables.items():
        label = source.label if isinstance(source.label, str) else None
        columns = [source.image, label, source.mask, source.group]
        missing = [column for column in columns if column is not None and column not in table.column_names]
        if missing:
            raise InputError(f"data set {name} has no column {missing[0]!r}: it has {', '.join(table.column_names)}")
        for column, feature in table.features.items():
            if isinstance(feature, datasets.Image):
                # Bytes stay as they came: decoding and encoding again would lose quality.
                table = table.cast_column(column, datasets.Image(decode=False))
        tables[split] = table
    if local is None:
        # The hub's commit is the name of the folder that the library keeps the data in.
        facts = [[Path(part["filename"]).parts[-3:] for part in table.cache_files] for table in tables.values()]
        version = json.dumps(facts)
    else:
        stats = [(path.name, path.stat()) for paths in local.values() for path in paths]
        version = json.dumps([(file, stat.st_size, stat.st_mtime_ns) for file, stat in stats])
    return _Opened(tables, own_splits, version)


@lru_cache(maxsize=16)
def _column(source: DatasetSource, split: Split, column: str) -> Any:
    """One column as a `datasets.Dataset` of its own: making it costs more than reading a row."""
    return _open(source).tables[split].select_columns([column])


@lru_cache(maxsize=4)
def _filled(source: DatasetSource) -> dict[Split, list[bool]]:
    """For every row of every split, whether the mask's cell is filled."""
    filled: dict[Split, list[bool]] = {}
    for split, table in _open(source).tables.items():
        cells = table.data.column(source.mask)
        if pa.types.is_struct(cells.type):
            names = {cells.type.field(index).name for index in range(cells.type.num_fields)}
            cells = pc.coalesce(*(pc.cast(pc.struct_field(cells, name), pa.binary()) for name in names))
        filled[split] = pc.is_valid(cells).to_pylist()
    return filled


def _place(item: Item) -> tuple[Split, int]:
    """The split and row that `items` made an item's id of."""
    split, _, row = item.image_id.rpartition("-")
    return ("validation" if split == "validation" else "train"), int(row)


def _library() -> Any:
    """The `datasets` library, without progress bars and without telling anyone."""
    # Imported here because only this source needs it: the method runs without it.
    import datasets  # noqa: PLC0415
    import huggingface_hub.constants  # noqa: PLC0415

    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    return datasets


def _local_files(name: str) -> dict[str, list[Path]] | None:
    """Parquet files by split, as their names or folders say; None for a name on the hub."""
    path = Path(name).expanduser()
    if not path.exists():
        if path.suffix == ".parquet" or name.startswith((".", "/", "~")):
            raise InputError(f"data set {name} is missing: give a Parquet file, a folder of them, or a name on the hub")
        return None
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*.parquet") if file.name[0] != ".")
    if not files:
        raise InputError(f"{name} holds no Parquet file: give a folder that does")
    by_split: dict[str, list[Path]] = {}
    nameless: list[Path] = []
    for file in files:
        relative = file.name if path.is_file() else str(file.relative_to(path))
        words = re.split(r"[^a-z]+", relative.lower())
        split = next((word for word in ("train", *VALIDATION_NAMES) if word in words), None)
        (nameless if split is None else by_split.setdefault(split, [])).append(file)
    if not by_split:
        return {"train": files}
    if nameless:
        raise InputError(f"{nameless[0]} is of no split, others in {name} are: put train or validation in its name")
    return by_split


def _choose_splits(found: dict[str, Any], name: str) -> tuple[dict[Split, Any], bool]:
    """The data set's own training and validation splits, or all there is as "train" and False."""
    validation = next((split for split in VALIDATION_NAMES if split in found), None)
    if "train" in found and validation is not None:
        return {"train": found["train"], "validation": found[validation]}, True
    if "train" in found or len(found) == 1:
        return {"train": found.get("train", next(iter(found.values())))}, False
    raise InputError(f"data set {name} has the splits {', '.join(found)}, none of them 'train': rename one")


@lru_cache(maxsize=4)
def _class_names(opened: _Opened) -> dict[int, str]:
    """Class names that the data set itself gives, or none."""
    datasets = _library()
    table = opened.tables["train"]

    def nested(feature: Any, depth: int) -> list[list[str]]:
        # On the top level a class label is about the whole photo; further down it is about its parts.
        if isinstance(feature, datasets.ClassLabel):
            return [feature.names] if depth else []
        if isinstance(feature, dict):
            return [names for value in feature.values() for names in nested(value, depth + 1)]
        inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", None)
        return nested(inner, depth + 1) if inner is not None else []

    labels = [names for feature in table.features.values() for names in nested(feature, 0)]
    if len(labels) == 1:
        return dict(enumerate(labels[0]))
    if "segments" not in table.column_names:
        return {}
    parts = [part for split in opened.tables.values() for row in split["segments"] for part in row or ()]
    return {part["class_id"]: part["name"] for part in parts if {"class_id", "name"} <= set(part)}


def _texts(table: Any, column: str | None, name: str) -> list[str]:
    """A column as texts: names of class labels, "yes" and "no"; "" where the cell is empty or there is no column."""
    if column is None:
        return [""] * len(table)
    feature = table.features[column]
    values = table.select_columns([column])[:][column]
    if isinstance(feature, _library().ClassLabel):
        # -1 is how the library marks what has no label.
        return [feature.int2str(value) if value is not None and value >= 0 else "" for value in values]
    wrong = next((value for value in values if value is not None and not isinstance(value, str | int)), None)
    if wrong is not None:
        raise InputError(
            f"column {column!r} of data set {name} holds {type(wrong).__name__}: "
            "a label is a text, a whole number, yes/no, or a class label"
        )
    words = {True: "yes", False: "no", None: ""}
    return [words[value] if isinstance(value, bool | None) else str(value).strip() for value in values]


def _own_folders(dataset: str) -> list[Path]:
    """Where a data set's own files are: beside its Parquet file, in its folder, or in the hub's caches."""
    path = Path(dataset).expanduser()
    if path.exists():
        return [path.parent if path.is_file() else path]
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415 (as in `_library`)

    return [Path(folder) for folder in (_library().config.HF_DATASETS_CACHE, HF_HUB_CACHE)]
