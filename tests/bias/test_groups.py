from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.bias.groups import find_group, group_values
from tasks.errors import InputError
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row


def test_by_the_column_if_there_is_one(store: SegmentStore) -> None:
    assert find_group(store, None) == "group"
    values = group_values(store, "validation", "group")
    assert values == tuple("unknown" if number % 3 == 0 else "left" for number in range(16))


def test_by_a_segment(store: SegmentStore) -> None:
    assert find_group(store, "badge") == "badge"
    values = group_values(store, "train", "badge")
    assert values == tuple("no badge" if number // 2 % 10 == 9 else "badge" for number in range(40))


def test_what_is_not_there_is_said(
    store: SegmentStore, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    def without(row: Row) -> Row:
        return replace(row, group=None)

    bare = make_store(tmp_path / "bare", change=without)
    assert find_group(bare, None) is None
    with pytest.raises(InputError, match="has no groups: prepare it with --group COLUMN, or name a segment"):
        find_group(bare, "group")
    with pytest.raises(InputError, match="no group 'nose': take group, the store's column, or a segment: ground, body"):
        find_group(store, "nose")
