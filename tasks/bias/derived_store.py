"""A store made from another one: its validation split as it is, its training split with rows that are no photos.

Held-out rows are judged by their nearest neighbours among each other, so in a derived store only those with provenance
are judged by (`tasks.metric.training_data`), and whoever derives one sees to it that no two of them are alike.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.bias.training_photos import TrainingPhotos
from tasks.errors import InputError
from tasks.metric.identity import code_version
from tasks.segments.provenance import Provenance
from tasks.segments.shard_reader import read_header
from tasks.segments.shard_schema import STORE_VERSION
from tasks.segments.shard_writer import shard_path, write_shard
from tasks.segments.shards import PHOTOS_A_SHARD
from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore, open_store
from tasks.segments.store_row import Row

# The modules that a new row's content comes from.
CODE = (
    *(f"bias/{name}.py" for name in (
        "derived_store", "exchange", "hole", "partners", "picture", "place", "recombined_store", "resampled_store",
        "training_photos",
    )),
    "metric/batches.py",
    "segments/pictures.py",
    "segments/store_row.py",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """A row to be made.

    Attributes:
        image_id: its name.
        receiver: its first parent, by its number in the training split of the store that it is made from.
        donor: its second parent; for a copy the same.
        provenance: what the row will say of itself.
    """

    image_id: str
    receiver: int
    donor: int
    provenance: Provenance


def new_copies(photos: TrainingPhotos, numbers: Iterable[int], seed: int) -> list[NewRow]:
    """Rows that are photos as they are, held out as these are.

    Args:
        photos: the training split.
        numbers: which of them, in the order wanted.
        seed: of their choice and of the held-out split.
    """
    new = []
    for place, number in enumerate(numbers):
        name = photos.image_ids[number]
        provenance = Provenance(
            kind="copy", segment="", receiver=name, donor=name, seed=seed, held_out=bool(photos.held_out[number])
        )
        new.append(NewRow(image_id=f"copy-{place:05d}-of-{name}", receiver=number, donor=number, provenance=provenance))
    return new


def make_copy(new: NewRow, photo: Row, _: Row) -> Row:
    """The row of `new_copies`."""
    return replace(photo, image_id=new.image_id, provenance=new.provenance)


def write_derived_store(
    store: SegmentStore,
    new: Sequence[NewRow],
    make: Callable[[NewRow, Row, Row], Row],
    out: Path,
    *,
    photos: bool,
    note: dict[str, Any],
) -> SegmentStore:
    """Write the store, one shard of rows in memory at a time. Shards that an earlier run made are left as they are.

    Args:
        store: what it is made from.
        new: the new rows of the training split.
        make: makes one of them from its parents' rows.
        out: folder of the new store.
        photos: whether the training split has the store's own rows too, before the new ones.
        note: what is written of it into the notes, beside those of the store.

    Raises:
        InputError: `out` is the store itself or holds another one, or a picture of the store cannot be decoded.
        OSError: the disk is full; the shards that are finished stay.
    """
    if out.resolve() == store.path.resolve():
        raise InputError(f"{out} is the store that the new one is made from: give another folder to write to")
    kept = store.rows("train") if photos else 0
    counts = {"train": kept + len(new), "validation": store.rows("validation")}
    parts = {split: -(-counts[split] // PHOTOS_A_SHARD) for split in SPLITS}
    keys = {(split, part): _key(store, note, split, part) for split in SPLITS for part in range(parts[split])}
    targets = {shard_path(out, split, part): key for (split, part), key in keys.items()}
    made = _made(out, targets)
    for (split, part), key in keys.items():
        if shard_path(out, split, part) in made:
            continue
        numbers = range(part * PHOTOS_A_SHARD, min((part + 1) * PHOTOS_A_SHARD, counts[split]))
        if split == "train":
            rows = store.at([number for number in numbers if number < kept])
            rows += _new_rows(store, [new[number - kept] for number in numbers if number >= kept], make)
        else:
            rows = store.at([store.rows("train") + number for number in numbers])
        write_shard(
            out,
            split,
            rows,
            source=store.source,
            classes=store.classes,
            key=key,
            part=part,
            parts=parts[split],
            notes={**store.notes, **note},
        )
    if store.segmenter is not None:
        shutil.copytree(store.segmenter, out / "segmenter", dirs_exist_ok=True)
    return open_store(out)


def _new_rows(store: SegmentStore, new: Sequence[NewRow], make: Callable[[NewRow, Row, Row], Row]) -> list[Row]:
    numbers = sorted({number for row in new for number in (row.receiver, row.donor)})
    parents = dict(zip(numbers, store.at(numbers), strict=True))
    return [make(row, parents[row.receiver], parents[row.donor]) for row in new]


def _key(store: SegmentStore, note: dict[str, Any], split: str, part: int) -> str:
    content = [STORE_VERSION, code_version(CODE), store.digest, store.notes, note, split, part]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _made(out: Path, targets: dict[Path, str]) -> set[Path]:
    """The shards that are there. One of another store is neither kept nor written over."""
    made = set(out.glob("split=*/part-*.parquet"))
    for path in sorted(made):
        if path not in targets or read_header(path).key != targets[path]:
            raise InputError(f"{out} holds another store ({path.name} is not of this one): give a new folder")
    return made
