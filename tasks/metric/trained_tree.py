"""A trained tree as a folder: tree.json, one checkpoint a node, and the segmenter where there is one.

The folder is all that explaining and evaluating need; it is also what the registered model carries.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError, reason_of
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.decision import Decision
from tasks.metric.distances import OwnDistance
from tasks.metric.evaluation import Precision
from tasks.metric.kept_node import LARGEST_SIZE, TrainedNode, parse_node, parse_quantiles
from tasks.metric.losses import loss_family
from tasks.metric.model import EmbeddingModel, load_model
from tasks.metric.options import TrainingOptions
from tasks.segments.class_names import check_class_names
from tasks.segments.inside import is_inside
from tasks.segments.names import check_name
from tasks.segments.tree import SegmentTree, parse_tree

if TYPE_CHECKING:
    from tasks.segments.segmenter import Segmenter

TREE_VERSION = 3


@dataclass(frozen=True)
class TrainedTree:
    """A trained tree, opened. Open one with `open_trained_tree`.

    Attributes:
        path: its folder.
        tree: its segment tree.
        classes: class id to name, as in its store.
        source: name of the data set.
        options: how its nodes were trained.
        nodes: by name.
        decision: which of the root's two decisions is the tree's.
        composed_quantiles: float32 [1001], of the root's composed distance among validation pairs; empty without one.
        facts: what else was written into tree.json, such as the additive fit.
    """

    path: Path
    tree: SegmentTree
    classes: dict[int, str]
    source: str
    options: TrainingOptions
    nodes: dict[str, TrainedNode]
    decision: Decision
    composed_quantiles: NDArray[np.float32]
    facts: dict[str, Any]

    @property
    def segmenter(self) -> Path | None:
        """Folder of the model's own SegFormer; None if its label maps came with the photos."""
        folder = self.path / "segmenter"
        return folder if folder.is_dir() else None

    @cached_property
    def loaded_segmenter(self) -> "Segmenter | None":
        """The model's own SegFormer, on the CPU; None without one. Loaded once.

        Raises:
            InputError: it cannot be loaded.
        """
        if self.segmenter is None:
            return None
        from tasks.segments.segmenter import load_segmenter  # noqa: PLC0415 (3 s, and most photos have their masks)

        return load_segmenter(str(self.segmenter))

    @cached_property
    def _models(self) -> dict[str, EmbeddingModel]:
        return {}

    def model(self, name: str) -> EmbeddingModel | None:
        """A node's model in evaluation mode; None if the node is degenerate. Loaded once.

        Raises:
            InputError: the checkpoint is missing, its digest is wrong, it is not below the folder, or it does not fit
                the tree's options.
        """
        node = self.nodes[name]
        if node.file is None:
            return None
        if name not in self._models:
            file = self.path / node.file
            if not is_inside(file, self.path):
                raise InputError(f"the checkpoint {file} is a link that leads out of its folder: copy the file there")
            state = load_checkpoint(file, node.sha256)
            # Looked at before the model is built: a description may ask for more memory than there is.
            widths = [len(tensor) for tensor in state.values() if tensor.ndim]
            if self.options.embedding not in widths:
                raise InputError(f"the checkpoint {file} has no embeddings of {self.options.embedding}: train again")
            try:
                self._models[name] = load_model(self.options.model, state)
            except RuntimeError as error:
                raise InputError(
                    f"the checkpoint {file} does not fit the tree's options ({reason_of(error)}): train again"
                ) from None
        return self._models[name]

    def node_options(self, name: str) -> TrainingOptions:
        """The options with a node's own framing and size."""
        node = self.nodes[name]
        return replace(self.options, framing=node.framing, size=node.size)

    @property
    def own_distance(self) -> OwnDistance:
        """Name of the distance by which the nodes find their neighbours."""
        return loss_family(self.options.loss).own_distance

    @property
    def weights(self) -> dict[str, float]:
        """Trained leaf to its weight in the composed decision; they sum to 1."""
        return {leaf.name: self.nodes[leaf.name].weight for leaf in self.tree.leaves if self.nodes[leaf.name].file}

    def precision(self, name: str, decision: Decision) -> Precision:
        """A node's P@K by one of its decisions; by its own where it has no other."""
        node = self.nodes[name]
        return node.composed if decision == "composed" and node.composed is not None else node.precision


def open_trained_tree(path: Path, device: str = "cpu") -> TrainedTree:
    """Open a trained tree's folder.

    Args:
        path: the folder.
        device: where its models are to run.

    Raises:
        InputError: it is no trained tree, or of another version.
    """
    try:
        fields = json.loads((path / "tree.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"{path} is not a trained tree (no tree.json): give the model folder of `heml train`"
        ) from None
    version = fields.get("version") if isinstance(fields, dict) else None
    if version != TREE_VERSION:
        raise InputError(f"{path} is a trained tree of version {version}, this is version {TREE_VERSION}: train again")
    try:
        return _parse(fields, path, device)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path}/tree.json is not the description of a trained tree ({error!r}): train again"
        ) from None


def _parse(fields: dict[str, Any], path: Path, device: str) -> TrainedTree:
    """The tree from the description's values; any of Python's errors of values where one is not what it should be."""
    tree = parse_tree(fields["tree"], where=f"the tree of {path}")
    nodes = {name: parse_node(node) for name, node in fields["nodes"].items()}
    if set(nodes) != {node.name for node in tree.nodes}:
        raise ValueError("its nodes are not those of its tree")
    if fields["decision"] not in get_args(Decision) or not isinstance(fields["facts"], dict):
        raise ValueError("its decision or its facts are none")
    options = TrainingOptions(**{**fields["options"], "device": device})
    for name, hint in get_type_hints(TrainingOptions).items():
        if not _is_of(getattr(options, name), hint):
            raise ValueError(f"its {name} is {getattr(options, name)!r}")
    if options.size > LARGEST_SIZE:
        raise ValueError(f"its pictures have the size {options.size}")
    return TrainedTree(
        path=path,
        tree=tree,
        classes=check_class_names({int(number): name for number, name in fields["classes"].items()}, f"{path}"),
        source=check_name(fields["source"], f"the data set of {path}"),
        options=options,
        nodes=nodes,
        decision=fields["decision"],
        composed_quantiles=parse_quantiles(fields["composed_quantiles"]),
        facts=fields["facts"],
    )


def _is_of(value: object, hint: Any) -> bool:
    """Whether a value read from JSON is of an option's type, or of one of its types."""
    if isinstance(hint, UnionType):
        return any(_is_of(value, each) for each in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    return type(value) is hint or (hint is float and type(value) is int)
