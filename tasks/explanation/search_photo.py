"""The most similar photos of a store by one part: same hair, any face."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.explanation.explain import SegmentedPhoto
from tasks.explanation.part_picture import part_picture
from tasks.explanation.search_record import FoundPhoto, PhotoSearch
from tasks.metric.decision import DecisionChoice
from tasks.metric.distances import bounded_snr_distance
from tasks.metric.embed_photo import embed_photo
from tasks.metric.evaluation import percentile
from tasks.metric.nearest import Neighbour, search
from tasks.metric.search_index import SearchIndex, open_search_index, search_decision
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.pictures import decode_image, decode_label_map
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row

MOST = 500  # photos are shown in their full size: more would fill the memory


def search_photo(
    trained: TrainedTree,
    store: SegmentStore,
    photo: SegmentedPhoto,
    node: str,
    *,
    decision: DecisionChoice = "auto",
    top: int = 12,
    decoded: Path,
) -> PhotoSearch:
    """Find the photos of a store, of both splits, that a node places nearest to a photo.

    A photo of the store with the very same pixels is left out: it is the photo itself (our reading). A copy that was
    compressed anew stays in.

    Args:
        trained: the tree.
        store: classes are matched by name.
        photo: to search for; its label map has the ids of the tree's class table.
        node: by which node.
        decision: by which of the node's decisions; "auto" takes the tree's, where the node has it, else its own.
        top: how many photos, 1 to 500.
        decoded: folder of this machine's decoded splits.

    Raises:
        InputError: there is no such node or it is degenerate, the photo or the store lacks the part, `top` is out of
            range, or what `open_search_index` says.
    """
    if not 1 <= top <= MOST:
        raise InputError(f"a search gives 1 to {MOST} photos; got {top}")
    decided = search_decision(trained, node, decision)
    parts = [leaf for leaf in trained.tree[node].leaves if leaf in trained.weights] if decided == "composed" else [node]
    embeddings = _embeddings(trained, photo, node, parts)
    index = open_search_index(trained, store, node, decided, decoded)
    vector = index.query(embeddings)
    near, rows, left_out = _without_itself(index, store, vector, photo, top)
    framing, fill, tree_node = trained.nodes[node].framing, trained.options.fill, trained.tree[node]
    class_ids = tree_node.class_ids(store.classes)
    found = []
    for (number, distance), row in zip(near, rows, strict=True):
        bounded, place = _place(trained, index, node, embeddings.get(node), number, distance)
        image, label_map = decode_image(row.image, row.image_id), decode_label_map(row.mask, row.image_id)
        found.append(
            FoundPhoto(
                image_id=row.image_id,
                split=row.split,
                label=row.label,
                distance=distance,
                bounded_distance=bounded,
                percentile=place,
                shown=part_picture(image, label_map, class_ids, framing, fill),
            )
        )
    return PhotoSearch(
        node=node,
        decision=decided,
        distance=index.distance,
        name=photo.name,
        shown=part_picture(photo.image, photo.label_map, tree_node.class_ids(trained.classes), framing, fill),
        images=len(index.numbers),
        left_out=left_out,
        found=tuple(found),
    )


def _place(
    trained: TrainedTree, index: SearchIndex, node: str, own: Tensor | None, number: int, distance: float
) -> tuple[float | None, float | None]:
    """The bounded distance to an image by the node's own model, and its place among the validation pairs."""
    if index.distance != "composed" and own is not None:
        bounded = bounded_snr_distance(own[None].double(), index.parts[node].of(torch.tensor([number]))).item()
        return bounded, percentile(bounded, trained.nodes[node].quantiles)
    return None, percentile(distance, trained.composed_quantiles) if node == trained.tree.root.name else None


def _embeddings(trained: TrainedTree, photo: SegmentedPhoto, node: str, parts: list[str]) -> dict[str, Tensor | None]:
    """The photo's embedding by each part.

    Raises:
        InputError: the photo shows none of the parts.
    """
    made = {part: embed_photo(trained, part, photo.image, photo.label_map) for part in parts}
    if not any(there for _, there in made.values()):
        shown = [trained.classes[class_id] for class_id in np.unique(photo.label_map).tolist()]
        raise InputError(f"{photo.name} does not show {node!r}, so nothing is like it; it shows: {', '.join(shown)}")
    return {part: embedding for part, (embedding, _) in made.items()}


def _without_itself(
    index: SearchIndex, store: SegmentStore, vector: Tensor, photo: SegmentedPhoto, top: int
) -> tuple[list[Neighbour], list[Row], tuple[str, ...]]:
    """The nearest images that are not the photo itself, and the ids of those that are."""
    asked = top + 1
    while True:
        near = search(index, vector, asked)
        rows = store.at([number for number, _ in near])
        itself = [np.array_equal(decode_image(row.image, row.image_id), photo.image) for row in rows]
        others = [place for place, same in enumerate(itself) if not same][:top]
        if len(others) == top or len(near) < asked:
            left_out = tuple(row.image_id for row, same in zip(rows, itself, strict=True) if same)
            return [near[place] for place in others], [rows[place] for place in others], left_out
        asked *= 2
