"""From a photo file to what people look at: search.png and search.json."""

import json
from pathlib import Path

from tasks.explanation.photo_files import segmented_photos
from tasks.explanation.search_photo import search_photo
from tasks.explanation.search_record import PhotoSearch, search_json
from tasks.explanation.search_sheet import write_search_sheet
from tasks.metric.decision import DecisionChoice
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.store import SegmentStore


def search_file(
    trained: TrainedTree,
    store: SegmentStore,
    photo: Path,
    mask: Path | None,
    node: str,
    out: Path,
    *,
    decision: DecisionChoice,
    top: int,
    decoded: Path,
) -> PhotoSearch:
    """Search a store for a photo file and write the contact sheet and its figures.

    Args:
        trained: the tree.
        store: classes are matched by name.
        photo: the file.
        mask: its label map as PNG, one byte a pixel; if None the tree's own segmenter makes it.
        node: by which node.
        out: folder for search.png and search.json.
        decision, top, decoded: as `search_photo`.

    Raises:
        InputError: the photo or its mask cannot be read or does not fit, there is no mask and no segmenter, or what
            `search_photo` says.
    """
    segmented = segmented_photos(trained, [photo], [mask], ["--mask"])[0]
    searched = search_photo(trained, store, segmented, node, decision=decision, top=top, decoded=decoded)
    out.mkdir(parents=True, exist_ok=True)
    write_search_sheet(searched, out / "search.png")
    text = json.dumps(search_json(searched), indent=1, allow_nan=False) + "\n"
    (out / "search.json").write_text(text, encoding="utf-8")
    return searched
