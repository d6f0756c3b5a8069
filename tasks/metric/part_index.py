"""A node's embeddings of a whole store, both splits: computed once and kept beside the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.metric.composed import PartEmbeddings
from tasks.metric.identity import TRAINING, code_version, made_of
from tasks.metric.kept_tensors import kept_tensors
from tasks.metric.model import EmbeddingModel, embed
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import node_view, split_view
from tasks.segments.decoded import Framed, decode_once
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore

PART_INDEX_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class PartIndex:
    """What one node makes of the images of a store.

    Attributes:
        part: L2-normalised embeddings, float32 [n, d], and the images' numbers in the store, ascending
            (`SegmentStore.at`).
        present: bool [n], whether the image shows the part; all of them, but where the node was trained on blank
            pictures too.
        facts: what it was made from.
    """

    part: PartEmbeddings
    present: Tensor
    facts: dict[str, Any]


def index_folder(store: SegmentStore) -> Path:
    """Where a store's indexes are kept: `STORE.index`, beside it. It may be deleted at any time."""
    path = store.path.resolve()
    return path.with_name(f"{path.name}.index")


def open_part_indexes(
    trained: TrainedTree, store: SegmentStore, names: Sequence[str], decoded: Path
) -> dict[str, PartIndex]:
    """Nodes' indexes, each built first if there is none of this model, these data and this code.

    Args:
        trained: the tree; its models run on the device of its options.
        store: classes are matched by name.
        names: of the nodes.
        decoded: folder of this machine's decoded splits.

    Raises:
        InputError: a checkpoint is damaged, or the index cannot be written.
        ValueError: a node is degenerate.
    """
    return {name: _open(trained, store, name, names, decoded) for name in names}


def _open(trained: TrainedTree, store: SegmentStore, name: str, together: Sequence[str], decoded: Path) -> PartIndex:
    node, options = trained.nodes[name], trained.node_options(name)
    model = trained.model(name)
    if model is None:
        raise ValueError(f"a degenerate node has no index; got {name!r}")
    facts = {
        "version": PART_INDEX_VERSION,
        "code": code_version(made_of(TRAINING)),
        "node": name,
        "checkpoint": node.sha256,
        "store": store.digest,
        "class_ids": trained.tree[name].class_ids(store.classes),
        "framing": options.framing,
        "size": options.size,
        "fill": options.fill,
        "absent": options.absent,
        "device": options.device,  # devices round differently
    }

    def made() -> dict[str, Tensor]:
        _decode(trained, store, together, decoded)
        return _embedded(trained, store, name, model, decoded)

    kept = kept_tensors(index_folder(store), facts, made)
    part = PartEmbeddings(embeddings=kept["embeddings"], indices=kept["numbers"])
    return PartIndex(part=part, present=kept["present"], facts=facts)


def _decode(trained: TrainedTree, store: SegmentStore, names: Sequence[str], decoded: Path) -> None:
    """Decode the pictures of several nodes in one pass, what is not decoded yet."""
    framed: set[Framed] = set()
    for name in names:
        options = trained.node_options(name)
        framed.add((options.size, trained.tree[name].class_ids(store.classes) if options.framing == "crop" else None))
    for split in _splits(store):
        decode_once(store, split, decoded, framed)


def _splits(store: SegmentStore) -> list[Split]:
    """Those with images."""
    return [split for split in SPLITS if store.rows(split)]


def _embedded(
    trained: TrainedTree, store: SegmentStore, name: str, model: EmbeddingModel, decoded: Path
) -> dict[str, Tensor]:
    options, class_ids = trained.node_options(name), trained.tree[name].class_ids(store.classes)
    embeddings = [torch.empty(0, options.embedding)]
    numbers, present, first = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.bool)], 0
    for split in _splits(store):
        view = split_view(store, split, class_ids, options, decoded)
        indices = torch.from_numpy(view.indices)
        showing = torch.from_numpy(node_view(view.data, class_ids, options.fill, "skip").indices)
        if len(view):
            made = embed(model.to(options.device), view.batches(options.device), options.device)
            embeddings.append(torch.nn.functional.normalize(made.double(), dim=1).float())
        numbers.append(first + indices)
        present.append(torch.isin(indices, showing))
        first += store.rows(split)
    return {"embeddings": torch.cat(embeddings), "numbers": torch.cat(numbers), "present": torch.cat(present)}
