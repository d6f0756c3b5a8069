"""How long a remedy may train: as many steps as the tree did, whatever number of images it makes of the photos."""

from tasks.bias.presence import shows
from tasks.metric.batches import HELD_OUT_SHARE
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode


def trained_images(store: SegmentStore, node: TreeNode) -> float:
    """About how many images a node is trained on: those that show it, less those held out."""
    rows = store.columns("train", ["provenance"])["provenance"]
    there = [True] * len(rows) if node.classes is None else shows(store, "train", node.classes).tolist()
    shown = [row for row, has_it in zip(rows, there, strict=True) if has_it]
    photos = shown.count(None)
    return (1 - HELD_OUT_SHARE) * photos + sum(row is not None and not row["held_out"] for row in shown)


def equal_epochs(epochs: int, store: SegmentStore, derived: SegmentStore, node: TreeNode) -> int:
    """Epochs on a derived store that make as many training steps at a node as so many on the store that it came from.

    Args:
        epochs: on the store.
        store: of photos.
        derived: made from it.
        node: which node.

    Returns:
        1 or more.
    """
    return max(1, round(epochs * trained_images(store, node) / max(1.0, trained_images(derived, node))))
