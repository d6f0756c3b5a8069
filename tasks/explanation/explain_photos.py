"""From two photo files to what people look at: explanation.json, tree.png and index.html."""

import json
from dataclasses import replace
from pathlib import Path

from tasks.explanation.explain import explain_pair
from tasks.explanation.explanation_json import explanation_json
from tasks.explanation.page import write_page
from tasks.explanation.pair_place import PairPlace
from tasks.explanation.photo_files import segmented_photos
from tasks.explanation.record import PairExplanation
from tasks.explanation.tree_picture import write_tree_picture
from tasks.metric.trained_tree import TrainedTree

EXPLANATION_FILES = ("explanation.json", "tree.png", "index.html")


def explain_photos(
    trained: TrainedTree,
    photos: tuple[Path, Path],
    masks: tuple[Path | None, Path | None],
    out: Path,
    *,
    labels: tuple[str | None, str | None] = (None, None),
    place: PairPlace | None = None,
) -> PairExplanation:
    """Explain two photos and write the explanation's three files.

    Args:
        trained: the tree.
        photos: A and B.
        masks: their label maps as PNG, one byte a pixel; where None the tree's own segmenter makes it.
        out: folder for explanation.json, tree.png and index.html.
        labels: of A and of B, to show; None where unknown.
        place: the pair's place in a list of pairs, which the page links to.

    Raises:
        InputError: a photo or a mask cannot be read, a mask does not fit, or one is missing and the tree has no
            segmenter.
    """
    a, b = segmented_photos(trained, photos, masks, ("--mask-a", "--mask-b"))
    explanation = replace(explain_pair(trained, a, b), labels=labels)
    out.mkdir(parents=True, exist_ok=True)
    numbers, picture, page = (out / name for name in EXPLANATION_FILES)
    text = json.dumps(explanation_json(explanation), indent=1, allow_nan=False)
    numbers.write_text(text, encoding="utf-8")
    write_tree_picture(explanation, picture)
    write_page(explanation, page, place)
    return explanation
