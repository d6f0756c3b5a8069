"""A node's composed pictures as files, for anyone who wants to see what it sees."""

from itertools import islice
from pathlib import Path
from typing import cast

import torch

from tasks.errors import InputError
from tasks.segments.compose import FILLS, Fill, compose, present
from tasks.segments.file_name import file_name
from tasks.segments.framing import FRAMINGS, crop_box, cropped
from tasks.segments.pictures import decode_image, decode_label_map, encode_image
from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode


def export_node(
    store: SegmentStore, node: TreeNode, fill: str, out: Path, limit: int | None = None, framing: str = "full"
) -> int:
    """Write a node's pictures in full size, as `out/SPLIT/LABEL/IMAGE_ID.png`; images without the part are left out.

    Args:
        store: the segment store.
        node: the node.
        fill: what stands where the node's segments are not, one of `FILLS`.
        out: the folder.
        limit: so many images of each split are looked at; None for all.
        framing: the whole photo or a crop about the part, one of `FRAMINGS`.

    Returns:
        The number of pictures written.

    Raises:
        InputError: unknown fill or framing, or a picture of the store cannot be decoded.
    """
    for name, value, allowed in (("fill", fill, FILLS), ("framing", framing, FRAMINGS)):
        if value not in allowed:
            raise InputError(f"unknown {name} {value!r}: one of {', '.join(allowed)}")
    checked = cast(Fill, fill)
    class_ids, written = node.class_ids(store.classes), 0
    for split in SPLITS:
        for row in islice(store.iterate(split), limit):
            pixels, mask = decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id)
            if framing == "crop" and class_ids is not None and (box := crop_box(mask, class_ids)):
                pixels, mask = cropped(pixels, mask, box)
            image, label_map = torch.from_numpy(pixels.copy())[None], torch.from_numpy(mask.copy())[None]
            if not present(label_map, class_ids).item():
                continue
            # Labels and ids are data: `file_name` sees to it that no part of them leaves the folder.
            folder = out / split / file_name(row.label)
            folder.mkdir(parents=True, exist_ok=True)
            picture = compose(image, label_map, class_ids, checked)[0].numpy()
            (folder / f"{file_name(row.image_id)}.png").write_bytes(encode_image(picture))
            written += 1
    return written
