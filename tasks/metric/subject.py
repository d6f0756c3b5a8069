"""What is trained on a store's images: a node of the tree, a control, or a baseline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tasks.metric.avsl_training import train_avsl
from tasks.metric.identity import avsl_identity, node_identity, node_key
from tasks.metric.node_job import EpochReport, NodeJob
from tasks.metric.node_options import node_options
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.training import train_node
from tasks.metric.training_data import TrainingData, training_data
from tasks.segments.compose import BACKGROUND_CLASS
from tasks.segments.store import SegmentStore
from tasks.segments.tree import SegmentTree, TreeNode

BACKGROUND_CONTROL = "background only"
Shown = Literal["photo", "silhouette"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One thing to train.

    Attributes:
        name: to show.
        class_ids: the classes that it shows; None for every pixel.
        shown: the photo's pixels of these classes, or their mask alone.
        options: its own, framing and size among them.
        avsl: whether it is an AVSL model rather than a trunk and an embedder.
    """

    name: str
    class_ids: tuple[int, ...] | None
    shown: Shown = "photo"
    options: TrainingOptions
    avsl: bool = False

    def key(self, store: SegmentStore, children: Sequence[str | None] = ()) -> str:
        """Digest of all that its weights depend on.

        Args:
            store: the data.
            children: SHA-256 of each child's checkpoint, in order; None for a degenerate child.

        Raises:
            InputError: the weights to start from are a file that cannot be read.
        """
        if self.avsl:
            return node_key(avsl_identity(self.class_ids, store.digest, self.options))
        silhouette = self.shown == "silhouette"
        return node_key(node_identity(self.class_ids, store.digest, self.options, children, silhouette=silhouette))

    def data(self, store: SegmentStore, decoded: Path) -> TrainingData:
        """Its images.

        Raises:
            InputError: a picture of the store cannot be decoded.
        """
        silhouette = self.shown == "silhouette"
        return training_data(store, self.class_ids, self.options, decoded, silhouette=silhouette)

    def train(self, job: NodeJob, data: TrainingData, on_epoch: Callable[[EpochReport], None]) -> NodeResult:
        """Train it, or take its result if it is done.

        Raises:
            InputError, OSError: as `train_node` and `train_avsl`.
        """
        return (train_avsl if self.avsl else train_node)(job, data, on_epoch)


def node_subject(node: TreeNode, store: SegmentStore, options: TrainingOptions) -> Subject:
    """A node of the tree; `options` are the tree's."""
    class_ids = node.class_ids(store.classes)
    own = replace(node_options(options, class_ids, store), epochs=options.epochs_of(combined=bool(node.children)))
    return Subject(name=node.name, class_ids=class_ids, options=own)


def shape_control(leaf: TreeNode, store: SegmentStore, options: TrainingOptions) -> Subject:
    """A leaf's mask alone, framed as the leaf is: what its shape and place say without a pixel of the photo."""
    # A mask has no fill: one control serves the trees of all fills.
    subject = node_subject(leaf, store, replace(options, fill="black"))
    return replace(subject, name=shape_control_name(leaf.name), shown="silhouette")


def shape_control_name(leaf: str) -> str:
    """Name of a leaf's control."""
    return f"{leaf}: shape only"


def background_control(options: TrainingOptions) -> Subject:
    """The photo's background alone, all else black: what it says, and the outline of all that stands before it."""
    whole = replace(options, framing="full", fill="black")
    return Subject(name=BACKGROUND_CONTROL, class_ids=(BACKGROUND_CLASS,), options=whole)


def tree_controls(tree: SegmentTree, store: SegmentStore, options: TrainingOptions) -> list[Subject]:
    """All controls of a tree: the background's, then its leaves'."""
    return [background_control(options), *(shape_control(leaf, store, options) for leaf in tree.leaves)]


def traditional_baseline(options: TrainingOptions) -> Subject:
    """One model on full images (HEML's "traditional")."""
    return Subject(name="traditional", class_ids=None, options=replace(options, framing="full"))


def avsl_baseline(options: TrainingOptions) -> Subject:
    """ProxyAnchor-AVSL on full images."""
    return replace(traditional_baseline(options), name="avsl", avsl=True)
