"""The list of several explained pairs: index.html above their pages, one file that asks the network for nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.explanation.pair_place import PairPlace
from tasks.explanation.pair_table import PairRow
from tasks.explanation.picture_uri import picture_uri
from tasks.explanation.rendering import write_html
from tasks.explanation.wording import standing_words
from tasks.segments.pictures import decode_image

THUMBNAIL = 192  # longest side in pixels: twice what the list shows, for fine screens


@dataclass(frozen=True, kw_only=True)
class ListedPair:
    """One line of the list.

    Attributes:
        place: its place in the list.
        names: the photos' file names.
        labels: None where unknown.
        thumbnails: data: addresses.
        similarity: by the tree's decision, in [0, 1]; None where there is none.
        percentile: share of the validation pairs with at most its distance, in [0, 100]; None where there is none.
        part: the leaf that is the farthest apart (`NodeExplanation.standing`); None where no leaf has a distance.
        part_words: how far that leaf is apart.
    """

    place: PairPlace
    names: tuple[str, str]
    labels: tuple[str | None, str | None]
    thumbnails: tuple[str, str]
    similarity: float | None
    percentile: float | None
    part: str | None
    part_words: str


def write_pair_list(rows: Sequence[PairRow], out: Path) -> None:
    """Writes the list of pairs that are explained, each in its folder below `out`.

    Names and labels are data: they are shown as text whatever they hold.

    Args:
        rows: the pairs, in the list's order; one at least, all explained under one tree.
        out: folder of index.html, with an explanation.json in the folder of each pair.

    Raises:
        OSError: an explanation or a photo is gone.
    """
    told = [json.loads((out / row.place.folder / "explanation.json").read_text(encoding="utf-8")) for row in rows]
    pairs = [_listed(row, one) for row, one in zip(rows, told, strict=True)]
    write_html("list.html", out / "index.html", script="list.js", pairs=pairs, decision=told[0]["decision"])


def _listed(row: PairRow, told: dict[str, Any]) -> ListedPair:
    first, second = (
        picture_uri(decode_image(photo.read_bytes(), str(photo)), longest=THUMBNAIL) for photo in row.photos
    )
    leaves = [node for node in told["nodes"] if not node["children"] and node["standing"] is not None]
    farthest = max(leaves, key=lambda leaf: float(leaf["standing"]), default=None)
    return ListedPair(
        place=row.place,
        names=(row.photos[0].name, row.photos[1].name),
        labels=row.labels,
        thumbnails=(first, second),
        similarity=told["similarity"],
        percentile=told["percentile"],
        part=farthest["name"] if farthest else None,
        part_words=standing_words(farthest["percentile"], farthest["same_label_percentile"]) if farthest else "",
    )
