"""The explanation finds the cause that was planted, and an untrained model does not (slow: about twenty minutes).

Tree and settings were chosen on portraits of other seeds; the figures are of seed 4. The pairs are two people each, of
opposite labels: all parts, pose, light and noise are drawn anew.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from flows.trees import resolve_tree
from tasks.explanation.sfam import explained_layer
from tasks.judging.attribution import PairBatch
from tasks.judging.judge import maps_of
from tasks.judging.localisation import energy_in_segment
from tasks.judging.pairs import draw_pairs
from tasks.judging.registry import ATTRIBUTIONS
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.distances import bounded_snr_distance
from tasks.metric.evaluation import Precision, percentile
from tasks.metric.model import EmbeddingModel, build_model, embed, load_model
from tasks.metric.node_job import NodeJob
from tasks.metric.node_result import NodeResult
from tasks.metric.options import TrainingOptions
from tasks.metric.plan import starting_weights
from tasks.metric.precision import bootstrap_interval
from tasks.metric.same_label import same_label_quantiles
from tasks.metric.subject import node_subject
from tasks.metric.training_data import TrainingData, split_view, training_data
from tasks.segments.compose import compose, present
from tasks.segments.framing import frame
from tasks.segments.portraits import Portrait, PortraitSource, PortraitSpec, opposite_people
from tasks.segments.shards import make_shard, plan_shards
from tasks.segments.store import open_store
from tasks.segments.tree import SegmentTree

LOG = logging.getLogger(__name__)
PORTRAITS = PortraitSpec(size=128, train=2400, validation=500, seed=4)
OPTIONS = TrainingOptions(trunk="small", size=48, framing="crop", augmentation="full", epochs=14, patience=14, batch=32)
TREE = "demo"
PAIRS = 500


@dataclass(frozen=True, kw_only=True)
class Node:
    """What one node showed: P@K, and the percentile of each pair among pairs of one label, NaN without the part."""

    result: NodeResult
    trained: list[float]
    untrained: list[float]

    @property
    def precision(self) -> Precision:
        return self.result.precision


def percentiles(model: EmbeddingModel, data: TrainingData, pairs: list[tuple[Portrait, Portrait]]) -> list[float]:
    view = data.validation
    among = same_label_quantiles(embed(model, view.batches("cpu"), "cpu"), torch.from_numpy(view.labels))
    size, class_ids, found = view.data.images.shape[-1], view.class_ids, []
    framing = "full" if class_ids is None else "crop"
    for pair in pairs:
        framed = [frame(drawn.image, drawn.label_map, class_ids, framing, size) for drawn in pair]
        images, label_maps = (torch.from_numpy(np.stack(part)) for part in zip(*framed, strict=True))
        if not present(label_maps, class_ids).all():
            found.append(np.nan)
            continue
        a, b = embed(model, [compose(images, label_maps, class_ids, OPTIONS.fill)], "cpu").split(1)
        place = percentile(bounded_snr_distance(a, b).item(), among)
        assert place is not None
        found.append(place)
    return found


def measure(name: str, folder: Path, children: Mapping[str, NodeResult]) -> Node:
    store = open_store(folder / "store")
    node = resolve_tree(TREE, store)[name]
    subject = node_subject(node, store, OPTIONS)
    data = subject.data(store, folder / "decoded")
    start = starting_weights([children[child] for child in node.children], OPTIONS)
    job = NodeJob(node=name, key=name, folder=folder / name, options=subject.options, start=start)
    result = subject.train(job, data, lambda _: None)
    trained = load_model(OPTIONS.model, load_checkpoint(result.checkpoint, result.checkpoint_sha256))
    pairs = [opposite_people(PORTRAITS, index) for index in range(PAIRS)]
    return Node(
        result=result,
        trained=percentiles(trained, data, pairs),
        untrained=percentiles(build_model(OPTIONS.model), data, pairs),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, source = tmp_path_factory.mktemp("planted"), PortraitSource(PORTRAITS)
    for plan in plan_shards(source, source.classes(), None):
        make_shard(source, plan, made / "store", source.classes(), None, {})
    training_data(open_store(made / "store"), None, OPTIONS, made / "decoded")
    return made


@pytest.fixture(scope="module")
def tree(folder: Path) -> SegmentTree:
    return resolve_tree(TREE, open_store(folder / "store"))


@pytest.fixture(scope="module")
def nodes(folder: Path, tree: SegmentTree) -> dict[str, Node]:
    found: dict[str, Node] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for level in sorted({node.level for node in tree.nodes}):
            names = [node.name for node in tree.nodes if node.level == level]
            results = {name: node.result for name, node in found.items()}
            work = partial(measure, folder=folder, children=results)
            found |= zip(names, pool.map(work, names), strict=True)
            for name in names:
                LOG.info("%s: P@1 %s, %s", name, found[name].precision.at[1], found[name].precision.intervals[1])
    return {node.name: found[node.name] for node in tree.nodes}


def share_of_pairs(table: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """Share of the pairs, columns, at which a chosen row is above all others; NaN is never above."""
    known = np.where(np.isnan(table), -1, table)
    return float(np.mean(known[chosen].max(axis=0) > known[~chosen].max(axis=0)))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_leaf_with_the_cause_has_the_highest_precision_outside_the_interval(
    nodes: dict[str, Node], tree: SegmentTree
) -> None:
    intervals = {leaf.name: nodes[leaf.name].precision.intervals[1] for leaf in tree.leaves}
    low, _ = intervals.pop(PORTRAITS.cause) or (0.0, 0.0)
    assert all(other is not None and other[1] < low for other in intervals.values())


@pytest.mark.slow
def test_it_is_the_farthest_apart_among_two_people_of_opposite_labels(
    nodes: dict[str, Node], tree: SegmentTree
) -> None:
    leaves = [leaf.name for leaf in tree.leaves]
    path = np.array([PORTRAITS.cause in node.leaves for node in tree.nodes])
    cause = np.array([name == PORTRAITS.cause for name in leaves])
    shares = {}
    for weights in ("trained", "untrained"):
        of_leaves, of_all = (
            np.array([getattr(nodes[name], weights) for name in names]) for names in (leaves, list(nodes))
        )
        shares[weights] = share_of_pairs(of_leaves, cause), share_of_pairs(of_all, path)
        LOG.info("%s: the cause's leaf is the farthest in %.3f of %d pairs, a node on its path in %.3f",
                 weights, shares[weights][0], PAIRS, shares[weights][1])  # fmt: skip
    assert shares["trained"][0] >= 0.95
    assert shares["trained"][1] >= 0.99
    assert shares["untrained"][0] < 0.5


@pytest.mark.slow
def test_at_the_root_sfam_s_conserving_map_lies_in_the_cause_more_than_all_peers_but_one(
    nodes: dict[str, Node], tree: SegmentTree, folder: Path
) -> None:
    store, result = open_store(folder / "store"), nodes[tree.root.name].result
    model = load_model(OPTIONS.model, load_checkpoint(result.checkpoint, result.checkpoint_sha256))
    options = node_subject(tree.root, store, OPTIONS).options
    view = split_view(store, "validation", None, options, folder / "decoded")
    drawn = draw_pairs(view.labels, PAIRS, seed=0)
    label_maps = torch.from_numpy(view.data.label_maps[view.indices[drawn[:, 0]]])
    (cause,) = (class_id for class_id, name in store.classes.items() if name == PORTRAITS.cause)
    query, support = (view.pictures(drawn[:, side], "cpu") for side in (0, 1))
    centre = embed(model, view.batches("cpu"), "cpu").mean(dim=0)
    pairs = PairBatch(query=query, support=support, label_maps=label_maps, centre=centre)
    layer = explained_layer(model, options.size)
    energies = {}
    for name, attribution in ATTRIBUTIONS.items():
        if not attribution.given_masks:
            maps = maps_of(attribution, model, pairs, layer)
            energies[name] = energy_in_segment(maps, label_maps == cause).double().numpy()
            LOG.info("%s: energy in the cause %.3f", name, np.nanmean(energies[name]))
    own = energies["sfam-conserving"]
    for name, other in energies.items():
        if not name.startswith("sfam"):
            low, high = bootstrap_interval((own - other)[~np.isnan(own - other)])
            LOG.info("more than %s: %.3f to %.3f", name, low, high)
            assert low > 0 or (name == "eigen-cam" and high > 0), name  # which is the same for every pair of a photo
