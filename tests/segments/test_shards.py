from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.errors import LONGEST, InputError
from tasks.segments.shards import ShardPlan, make_shard
from tasks.segments.source import Item, Photo


@dataclass
class Broken:
    """A source none of whose photos can be read; each says so in so many characters."""

    length: int
    name: str = "broken"

    def load(self, item: Item) -> Photo:
        raise InputError(f"{item.image_id} is wrong".ljust(self.length, "!"))


@pytest.mark.parametrize("length", [20, 200, 2000])
def test_as_many_wrong_photos_are_told_as_an_error_has_room_for(length: int, tmp_path: Path) -> None:
    items = tuple(Item(image_id=f"{number:03d}", split="train", label="a", group=None) for number in range(100))
    plan = ShardPlan(split="train", part=0, parts=1, items=items, key="k")
    with pytest.raises(InputError) as refused:
        make_shard(Broken(length), plan, tmp_path, {1: "hair"}, None, {})  # type: ignore[arg-type]
    said = str(refused.value)
    told = [item.image_id for item in items if f"{item.image_id} is wrong" in said]
    assert told == [item.image_id for item in items[: len(told)]] and told
    assert said.endswith(f"; and {100 - len(told)} more photos")
    assert length > LONGEST or LONGEST - 200 - length < len(said) <= LONGEST
