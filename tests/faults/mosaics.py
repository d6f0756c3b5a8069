"""Photos of sixteen tiles, and a tree of 31 nodes over them, that trains in a minute or two on one core."""

from pathlib import Path

import numpy as np
import yaml

from tasks.segments.pictures import encode_image, encode_label_map
from tasks.segments.shard_writer import write_shard
from tasks.segments.source import Split
from tasks.segments.store_row import Row, describe_segments

TILES = tuple(f"tile{number:02d}" for number in range(1, 17))
CLASSES = dict(enumerate(("ground", *TILES)))
EDGE, SIDE = 48, 12


def mosaic(number: int, split: Split) -> Row:
    """Tiles of random colours; every third one is reddish by "day" and bluish by "night"."""
    label = ("day", "night")[number % 2]
    generator = np.random.default_rng([number, split == "validation"])
    label_map = np.zeros((EDGE, EDGE), dtype=np.uint8)
    image = np.zeros((3, EDGE, EDGE), dtype=np.uint8)
    for tile in range(len(TILES)):
        row, column = divmod(tile, EDGE // SIDE)
        box = np.s_[SIDE * row + 1 : SIDE * row + 11, SIDE * column + 1 : SIDE * column + 11]
        label_map[box] = tile + 1
        colour = generator.integers(20, 236, size=3)
        if tile % 3 == 0:
            colour[[0, 2]] = (240, 30) if label == "day" else (30, 240)
        image[:, *box] = colour[:, None, None]
    noise = generator.integers(-12, 13, size=image.shape)
    image = (image.astype(np.int64) + noise).clip(0, 255).astype(np.uint8)
    return Row(
        image_id=f"{split}-{number:03d}",
        split=split,
        label=label,
        group=None,
        image=encode_image(image),
        image_path=f"{number}.png",
        mask=encode_label_map(label_map),
        segments=describe_segments(label_map, CLASSES),
    )


def write_mosaics(folder: Path, train: int = 96, validation: int = 32) -> Path:
    """A store of mosaics."""
    counts: dict[Split, int] = {"train": train, "validation": validation}
    for split, count in counts.items():
        rows = [mosaic(number, split) for number in range(count)]
        write_shard(folder, split, rows, source="mosaics", classes=CLASSES, key=split, part=0, parts=1, notes={})
    return folder


def write_tree(file: Path) -> Path:
    """The balanced tree of the tiles, 31 nodes."""
    level: list[object] = list(TILES)
    while len(level) > 2:
        level = [[level[place], level[place + 1]] for place in range(0, len(level), 2)]
    file.write_text(yaml.safe_dump({"tree": level}), encoding="utf-8")
    return file
