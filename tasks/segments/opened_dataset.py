"""A Hugging Face data set, opened: its splits, and what its columns hold.

`datasets` is imported where it is used, so that the rest of the project runs without it.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import InputError
from tasks.segments.source import Split

# How the splits of published data sets are called; the first that is there becomes our validation split.
VALIDATION_NAMES = ("validation", "valid", "val", "dev", "test")


class LocalFile(NamedTuple):
    """A Parquet file on this machine.

    Attributes:
        path: where it lies.
        split: as it is called there; "train" where files are of no split.
        size: bytes.
        changed: when, nanoseconds since 1970.
    """

    path: Path
    split: str
    size: int
    changed: int


@dataclass(frozen=True, eq=False)
class OpenedDataset:
    """An opened data set. Open one with `open_dataset`.

    Attributes:
        name: on the hub, or of the file or folder.
        tables: `datasets.Dataset` of each split; only "train" if the data set has no splits that we use.
        own_splits: whether the splits are the data set's own.
        version: changes when the data do.
    """

    name: str
    tables: dict[Split, Any]
    own_splits: bool
    version: str


def open_dataset(name: str, subset: str | None, revision: str | None, columns: tuple[str, ...]) -> OpenedDataset:
    """Open a data set: once a process, unless its files on this machine have changed since.

    Args:
        name: on the hub, or a Parquet file, or a folder of Parquet files.
        subset: its configuration on the hub, or None.
        revision: branch, tag or commit on the hub, or None for the newest.
        columns: that it has to have.

    Raises:
        InputError: it cannot be opened, its splits cannot be told, or it lacks a column.
    """
    return _opened(name, subset, revision, columns, _local_files(name))


@lru_cache(maxsize=4)
def _opened(
    name: str, subset: str | None, revision: str | None, columns: tuple[str, ...], local: tuple[LocalFile, ...] | None
) -> OpenedDataset:
    datasets = _library()
    try:
        if local is None:
            found = datasets.load_dataset(name, subset, revision=revision)
        else:
            files: dict[str, list[str]] = {}
            for file in local:
                files.setdefault(file.split, []).append(str(file.path))
            found = datasets.load_dataset("parquet", data_files=files)
    except Exception as error:  # whatever the hub, the network, pyarrow or the format make it raise
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        advice = "check the file" if local is not None else "check the name and the network, or give a Parquet file"
        raise InputError(f"data set {name} cannot be opened ({line}): {advice}") from error
    tables, own_splits = _choose_splits(dict(found), name)
    for split, table in tables.items():
        if missing := [column for column in columns if column not in table.column_names]:
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
        version = json.dumps([(file.path.name, file.size, file.changed) for file in local])
    return OpenedDataset(name, tables, own_splits, version)


@lru_cache(maxsize=16)
def one_column(opened: OpenedDataset, split: Split, column: str) -> Any:
    """One column as a `datasets.Dataset` of its own: making it costs more than reading a row."""
    return opened.tables[split].select_columns([column])


@lru_cache(maxsize=4)
def filled(opened: OpenedDataset, column: str) -> dict[Split, list[bool]]:
    """For every row of every split, whether a column of pictures has one there."""
    found: dict[Split, list[bool]] = {}
    for split, table in opened.tables.items():
        cells = table.data.column(column)
        if pa.types.is_struct(cells.type):
            names = {cells.type.field(index).name for index in range(cells.type.num_fields)}
            cells = pc.coalesce(*(pc.cast(pc.struct_field(cells, name), pa.binary()) for name in names))
        found[split] = pc.is_valid(cells).to_pylist()
    return found


@lru_cache(maxsize=4)
def named_classes(opened: OpenedDataset) -> dict[int, str]:
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


def texts(opened: OpenedDataset, split: Split, column: str | None) -> list[str]:
    """A column as texts: names of class labels, "yes" and "no"; "" where the cell is empty or there is no column.

    Raises:
        InputError: it holds something else.
    """
    table = opened.tables[split]
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
            f"column {column!r} of data set {opened.name} holds {type(wrong).__name__}: "
            "a label is a text, a whole number, yes/no, or a class label"
        )
    words = {True: "yes", False: "no", None: ""}
    return [words[value] if isinstance(value, bool | None) else str(value).strip() for value in values]


def own_folders(dataset: str) -> list[Path]:
    """Where a data set's own files are: beside its Parquet file, in its folder, or in the hub's caches."""
    path = Path(dataset).expanduser()
    if path.exists():
        return [path.parent if path.is_file() else path]
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415 (as in `_library`)

    return [Path(folder) for folder in (_library().config.HF_DATASETS_CACHE, HF_HUB_CACHE)]


def _library() -> Any:
    """The `datasets` library, without progress bars and without telling anyone."""
    # Imported here because only this source needs it: the method runs without it.
    import datasets  # noqa: PLC0415
    import huggingface_hub.constants  # noqa: PLC0415

    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    return datasets


def _local_files(name: str) -> tuple[LocalFile, ...] | None:
    """Parquet files with their splits, as their names or folders say; None for a name on the hub."""
    path = Path(name).expanduser()
    if not path.exists():
        if path.suffix == ".parquet" or name.startswith((".", "/", "~")):
            raise InputError(f"data set {name} is missing: give a Parquet file, a folder of them, or a name on the hub")
        return None
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*.parquet") if file.name[0] != ".")
    if not files:
        raise InputError(f"{name} holds no Parquet file: give a folder that does")
    splits: dict[Path, str | None] = {}
    for file in files:
        relative = file.name if path.is_file() else str(file.relative_to(path))
        words = re.split(r"[^a-z]+", relative.lower())
        splits[file] = next((word for word in ("train", *VALIDATION_NAMES) if word in words), None)
    nameless = [file for file, split in splits.items() if split is None]
    if nameless and len(nameless) < len(files):
        raise InputError(f"{nameless[0]} is of no split, others in {name} are: put train or validation in its name")
    stats = [(file, split or "train", file.stat()) for file, split in splits.items()]
    return tuple(LocalFile(file, split, stat.st_size, stat.st_mtime_ns) for file, split, stat in stats)


def _choose_splits(found: dict[str, Any], name: str) -> tuple[dict[Split, Any], bool]:
    """The data set's own training and validation splits, or all there is as "train" and False."""
    validation = next((split for split in VALIDATION_NAMES if split in found), None)
    if "train" in found and validation is not None:
        return {"train": found["train"], "validation": found[validation]}, True
    if "train" in found or len(found) == 1:
        return {"train": found.get("train", next(iter(found.values())))}, False
    raise InputError(f"data set {name} has the splits {', '.join(found)}, none of them 'train': rename one")
