"""From a source to the shards of a segment store: which photos go into which shard, and how one shard is made."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import LONGEST, InputError
from tasks.segments.class_ids import class_id_table
from tasks.segments.names import check_name
from tasks.segments.pictures import decode_image, encode_label_map
from tasks.segments.segmenter import Segmenter
from tasks.segments.shard_reader import read_header
from tasks.segments.shard_schema import STORE_VERSION, ShardHeader
from tasks.segments.shard_writer import shard_path, write_shard
from tasks.segments.source import SPLITS, Item, Photo, Source, Split
from tasks.segments.store_row import Row, describe_segments

PHOTOS_A_SHARD = 250
PHOTOS_A_BATCH = 16  # segmented at once
ROOM = LONGEST - 100  # characters of an error that tells what is wrong with several photos


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """One shard to be made.

    Attributes:
        split: its split.
        part: its number in the split, from 0.
        parts: number of shards of the split.
        items: its photos.
        key: digest of all that the shard is made from.
    """

    split: Split
    part: int
    parts: int
    items: tuple[Item, ...]
    key: str


def plan_shards(source: Source, classes: dict[int, str], segmenter_digest: str | None) -> list[ShardPlan]:
    """Share a source's photos out to shards.

    A photo's shard follows from its name and the number of shards: while that stays, taking a photo out changes one.

    Args:
        source: the photos.
        classes: the store's class table.
        segmenter_digest: of the segmenter that makes missing label maps; None if there is none.

    Raises:
        InputError: the source's description is wrong, its name is none, or a split is empty.
    """
    plans = []
    check_name(source.name, "the data set's name")
    items = source.items()
    for split in SPLITS:
        own = [item for item in items if item.split == split]
        if not own:
            raise InputError(
                f"the {split} split of {source.name} has no photos: give it some with --val between 0 and 1"
            )
        parts = math.ceil(len(own) / PHOTOS_A_SHARD)
        shards: dict[int, list[Item]] = defaultdict(list)
        for item in own:
            shards[int(hashlib.sha256(item.image_id.encode()).hexdigest()[:8], 16) % parts].append(item)
        for part in range(parts):
            content = [STORE_VERSION, source.name, sorted(classes.items()), segmenter_digest]
            described = json.dumps([content, [astuple(item) for item in shards[part]]])
            key = hashlib.sha256(described.encode()).hexdigest()
            plans.append(ShardPlan(split=split, part=part, parts=parts, items=tuple(shards[part]), key=key))
    return plans


def shard_is_made(store: Path, plan: ShardPlan) -> bool:
    """Whether the shard is there and was made from the same photos in the same way."""
    path = shard_path(store, plan.split, plan.part)
    try:
        header = read_header(path) if path.is_file() else None
    except InputError:
        return False
    return header is not None and (header.key, header.parts) == (plan.key, plan.parts)


def make_shard(
    source: Source,
    plan: ShardPlan,
    store: Path,
    classes: dict[int, str],
    segmenter: Segmenter | None,
    notes: dict[str, Any],
) -> ShardHeader:
    """Read a shard's photos, segment those without a label map, and write the shard.

    Args:
        source: where the photos come from.
        plan: which photos.
        store: the store's folder.
        classes: the store's class table.
        segmenter: makes missing label maps; its classes are matched by name.
        notes: facts about the data for the shard's header.

    Raises:
        InputError: photos cannot be read or their masks do not fit, all of the shard at once; or one has no mask and
            there is no segmenter. The shard that was there before is untouched.
    """
    rows, wrong = [], list[str]()
    for start in range(0, len(plan.items), PHOTOS_A_BATCH):
        items, photos = _load(source, plan.items[start : start + PHOTOS_A_BATCH], wrong)
        label_maps = _label_maps(items, photos, classes, segmenter)
        for item, photo, label_map in zip(items, photos, label_maps, strict=True):
            try:
                segments = describe_segments(label_map, classes)
            except InputError as error:
                wrong.append(f"{photo.path}: {error}")
                continue
            rows.append(
                Row(
                    image_id=item.image_id,
                    split=plan.split,
                    label=item.label,
                    group=item.group,
                    image=photo.image,
                    image_path=photo.path,
                    mask=encode_label_map(label_map),
                    segments=segments,
                )
            )
    if wrong:
        raise InputError(_together(wrong))
    return write_shard(
        store,
        plan.split,
        rows,
        source=source.name,
        classes=classes,
        key=plan.key,
        part=plan.part,
        parts=plan.parts,
        notes=notes,
    )


def _together(wrong: Sequence[str]) -> str:
    """As many of these as one error has room for, and how many more there are."""
    ends = accumulate(len(each) + len("; ") for each in wrong)
    told = max(1, sum(end <= ROOM for end in ends))
    more = f"; and {len(wrong) - told} more photos" if len(wrong) > told else ""
    return "; ".join(wrong[:told]) + more


def _load(source: Source, items: Sequence[Item], wrong: list[str]) -> tuple[list[Item], list[Photo]]:
    """The photos that can be read, and their items; of the others the reason is added to ``wrong``."""
    readable, photos = [], []
    for item in items:
        try:
            photos.append(source.load(item))
            readable.append(item)
        except InputError as error:
            wrong.append(str(error))
    return readable, photos


def _label_maps(
    items: Sequence[Item], photos: Sequence[Photo], classes: dict[int, str], segmenter: Segmenter | None
) -> list[NDArray[np.uint8]]:
    missing = [i for i, photo in enumerate(photos) if photo.label_map is None]
    if missing and segmenter is None:
        others = f" (nor have {len(missing) - 1} more of its batch)" if len(missing) > 1 else ""
        raise InputError(
            f"{photos[missing[0]].path} has no mask{others}: give --segmenter "
            "NAME, or --fit-segmenter to train one on the photos that have masks"
        )
    made: dict[int, NDArray[np.uint8]] = {}
    if missing and segmenter is not None:
        images = [decode_image(photos[i].image, items[i].image_id) for i in missing]
        table = class_id_table(segmenter.classes, classes)
        made = dict(zip(missing, (table[label_map] for label_map in segmenter.segment(images)), strict=True))
    return [made[i] if photo.label_map is None else photo.label_map for i, photo in enumerate(photos)]
