"""The record of a search: the photo, and the photos of a store that are most like it by one part."""

from dataclasses import dataclass
from typing import Any

from tasks.explanation.part_picture import PartPicture
from tasks.metric.decision import Decision
from tasks.metric.search_index import SearchDistance


@dataclass(frozen=True, kw_only=True)
class FoundPhoto:
    """A photo of the store that was found.

    Attributes:
        image_id: data, to be escaped wherever shown; so is the label.
        split: "train" or "validation".
        label: its label.
        distance: from the photo that was searched for, by the search's distance, >= 0.
        bounded_distance: by the node's own model, in [0, 1]; None by the composed decision.
        percentile: share of the validation pairs that the tree was trained beside with at most this distance (own:
            bounded; composed: at the root only), in [0, 100]; None where there are none.
        shown: the photo.
    """

    image_id: str
    split: str
    label: str
    distance: float
    bounded_distance: float | None
    percentile: float | None
    shown: PartPicture


@dataclass(frozen=True, kw_only=True)
class PhotoSearch:
    """What was searched for, and what was found.

    Attributes:
        node: name of the node.
        decision: which of the node's.
        distance: name of the distance.
        name: file name of the photo: data, to be escaped wherever shown.
        shown: the photo.
        images: how many photos of the store show the part.
        left_out: ids of those that are the photo itself.
        found: nearest first.
    """

    node: str
    decision: Decision
    distance: SearchDistance
    name: str
    shown: PartPicture
    images: int
    left_out: tuple[str, ...]
    found: tuple[FoundPhoto, ...]


def search_json(found: PhotoSearch) -> dict[str, Any]:
    """A search as plain values."""
    return {
        "photo": found.name,
        "node": found.node,
        "decision": found.decision,
        "distance": found.distance,
        "images": found.images,
        "left_out": list(found.left_out),
        "found": [
            {
                "rank": rank,
                "image_id": photo.image_id,
                "split": photo.split,
                "label": photo.label,
                "distance": photo.distance,
                "bounded_distance": photo.bounded_distance,
                "percentile": photo.percentile,
            }
            for rank, photo in enumerate(found.found, start=1)
        ],
    }
