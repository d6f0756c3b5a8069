"""Judge the maps of one node of a trained tree, on pairs of a store's validation photos."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.errors import InputError, reason_of
from tasks.explanation.sfam import explained_layer
from tasks.explanation.table import Table, percent
from tasks.judging.attribution import Attribution, PairBatch, first
from tasks.judging.judge import BATCH, MEASURES, Judged, judge, judge_avsl
from tasks.judging.judgement_table import judgement_tables, speed_table
from tasks.judging.map_speed import MapSpeed, maps_per_second
from tasks.judging.pairs import draw_pairs
from tasks.metric.avsl_model import AVSLModel, build_avsl
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.model import embed
from tasks.metric.trained_tree import TrainedTree
from tasks.metric.training_data import split_view
from tasks.segments.compose import present
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the judging of a node found.

    Attributes:
        node: its name.
        layer: the explained layer.
        segment: names of the classes in which energy and pointing are counted.
        pairs: number of pairs, half of one label.
        seed: of their draw.
        size: edge of the pictures, pixels.
        judged: the methods.
        speed: how fast SFAM's maps are made, beside Grad-CAM's.
        mean_cosine: of all pairs of the node's photos.
        common_share: length of the mean embedding as a share of the mean length of the embeddings.
        source: name of the data set.
    """

    node: str
    layer: str
    segment: tuple[str, ...]
    pairs: int
    seed: int
    size: int
    judged: tuple[Judged, ...]
    speed: MapSpeed
    mean_cosine: float
    common_share: float
    source: str

    def tables(self, machine: str) -> list[Table]:
        """For people; the machine is named under the speed."""
        where = ", ".join(self.segment) if len(self.segment) < 6 else f"any of {len(self.segment)} segments"
        note = (
            f"Node {self.node} on {self.source}, {self.pairs} pairs of validation photos (half of one label, seed "
            f"{self.seed}), {self.size} px, layer {self.layer}; energy and pointing: {where}."
        )
        common = (
            f"The mean cosine of two photos is {self.mean_cosine:.3f}: the mean embedding, which all share, is as long "
            f"as {percent(self.common_share)} % of an embedding."
        )
        return [*judgement_tables(self.judged, (note, common)), speed_table(self.speed, (note, f"Machine: {machine}."))]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = ("node", "layer", "segment", "pairs", "seed", "size", "source", "mean_cosine", "common_share")
        facts = {name: getattr(self, name) for name in names}
        methods = {
            row.method.name: {
                "title": row.method.title,
                "given_masks": row.method.given_masks,
                "gradient": row.method.gradient,
                "floor": row.method.floor,
                "measures": {name: (found := row.estimate(name)) and asdict(found) for name in MEASURES},
                "sanity": {direction: asdict(found) for direction, found in row.sanity.items()},
                "passes_sanity": row.passes_sanity,
            }
            for row in self.judged
        }
        return {**facts, "methods": methods, "speed": asdict(self.speed)}


def judge_node(
    trained: TrainedTree,
    store: SegmentStore,
    node: str,
    attributions: Iterable[Attribution],
    decoded: Path,
    *,
    pairs: int,
    seed: int,
    segment: str | None = None,
    avsl: Path | None = None,
    on_method: Callable[[str], None] = lambda name: None,
) -> Judgement:
    """Judge the maps of a node.

    Args:
        trained: the tree.
        store: its validation photos are used; classes are matched by name.
        node: the node's name.
        attributions: the methods.
        decoded: folder of this machine's decoded splits.
        pairs: how many.
        seed: of their draw and of what is random in methods and cascades.
        segment: the class or leaf that energy and pointing are counted in; None for all that
            the leaves below the node show.
        avsl: weights of a ProxyAnchor-AVSL baseline that was trained beside the root (`best.safetensors`), whose own
            maps are judged too; its trunk, embedding and size are the tree's.
        on_method: called with each method's name before it runs.

    Raises:
        InputError: there is no such node or segment, the node has no model, or the photos do not make so many pairs.
    """
    tree = trained.tree
    tree.check(store.classes.values())
    place = tree[node]
    model = trained.model(node)
    if model is None:
        raise InputError(f"the node {node!r} has no model: {trained.nodes[node].reason}; judge another one")
    if avsl is not None and node != tree.root.name:
        raise InputError(f"AVSL sees whole photos: it is judged at the root, {tree.root.name}, not at {node!r}")
    names, class_ids = _segment(trained, store, place, segment)
    options = trained.node_options(node)
    view = split_view(store, "validation", place.class_ids(store.classes), options, decoded)
    embeddings = embed(model.to(options.device), view.batches(options.device), options.device)
    drawn = draw_pairs(view.labels, pairs, seed)
    label_maps = torch.from_numpy(view.data.label_maps[view.indices[drawn[:, 0]]])
    batch = PairBatch(
        query=view.pictures(drawn[:, 0], "cpu"),
        support=view.pictures(drawn[:, 1], "cpu"),
        label_maps=label_maps,
        seed=seed,
        centre=embeddings.mean(dim=0),
    )
    if not present(label_maps, class_ids).any():
        raise InputError(
            f"no photo of these pairs shows {', '.join(names)}: name another segment, or ask for more pairs"
        )
    layer = explained_layer(model.to(options.device), options.size)
    inside = torch.isin(label_maps, torch.tensor(class_ids, dtype=torch.uint8))
    judged = judge(model, batch, inside, layer, attributions, on_method)
    if avsl is not None:
        on_method("avsl")
        judged.append(judge_avsl(_avsl(avsl, trained).to(options.device), batch, inside))
    return Judgement(
        node=node,
        layer=layer,
        segment=names,
        pairs=pairs,
        seed=seed,
        size=options.size,
        judged=tuple(judged),
        speed=maps_per_second(model, first(batch, BATCH), layer),
        mean_cosine=_mean_cosine(embeddings),
        common_share=(embeddings.mean(dim=0).norm() / embeddings.norm(dim=1).mean()).item(),
        source=store.source,
    )


def _mean_cosine(embeddings: Tensor) -> float:
    """Over all pairs of different rows of float [n, d]: `(|sum of the directions|^2 - n) / (n (n - 1))`."""
    n, total = len(embeddings), torch.nn.functional.normalize(embeddings.double(), dim=1).sum(dim=0)
    return ((total.square().sum() - n) / (n * (n - 1))).item()


def _avsl(weights: Path, trained: TrainedTree) -> AVSLModel:
    state = load_checkpoint(weights)
    spec = replace(trained.options.model, weights="none")
    try:
        model = build_avsl(spec, len(state["proxies"]))
        model.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise InputError(
            f"{weights} does not fit AVSL with the trunk {spec.trunk} and {spec.embedding} dimensions: "
            f"{reason_of(error)}; give best.safetensors of a baseline with the tree's trunk and embedding"
        ) from None
    return model


def _segment(
    trained: TrainedTree, store: SegmentStore, node: TreeNode, segment: str | None
) -> tuple[tuple[str, ...], list[int]]:
    """Names and ids of the classes that the ground truth is made of."""
    leaves = {leaf.name: tuple(leaf.classes or ()) for leaf in trained.tree.leaves}
    known = {**{name: (name,) for name in store.classes.values()}, **leaves}
    if segment is None:
        names = tuple(dict.fromkeys(name for leaf in node.leaves for name in leaves[leaf]))
    elif segment in known:
        names = known[segment]
    else:
        raise InputError(f"there is no segment {segment!r}: one of {', '.join(known)}")
    return names, [class_id for class_id, name in store.classes.items() if name in names]
