"""Groups of photos: a protected attribute from the store's column, or whether a photo shows a segment."""

from tasks.errors import InputError
from tasks.segments.shown import count_shown
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore

COLUMN = "group"
UNKNOWN = "unknown"


def find_group(store: SegmentStore, asked: str | None) -> str | None:
    """What photos are grouped by.

    Args:
        store: the data.
        asked: "group", the store's column; or a segment, by whose presence to group; None for the column if the store
            has one.

    Returns:
        "group" or the segment's name; None without a column where nothing was asked for.

    Raises:
        InputError: there is no such column or segment.
    """
    has_column = any(value is not None for split in SPLITS for value in store.columns(split, [COLUMN])[COLUMN])
    if asked is None:
        return COLUMN if has_column else None
    if asked == COLUMN and not has_column:
        raise InputError(
            f"the store {store.path} has no groups: prepare it with --group COLUMN, or name a segment to group by"
        )
    if asked != COLUMN and asked not in store.classes.values():
        raise InputError(
            f"no group {asked!r}: take {COLUMN}, the store's column, or a segment: {', '.join(store.classes.values())}"
        )
    return asked


def group_values(store: SegmentStore, split: Split, group: str) -> tuple[str, ...]:
    """The group of each photo of a split, in the store's order; "unknown" where the column says none.

    Args:
        store: the data.
        split: which split.
        group: what `find_group` gave.
    """
    if group == COLUMN:
        return tuple(value or UNKNOWN for value in store.columns(split, [COLUMN])[COLUMN])
    shown = count_shown(store, split, [class_id for class_id, name in store.classes.items() if name == group])
    return tuple(group if there else f"no {group}" for there in shown.asked > 0)
