"""The explanation finds the cause that was planted, and an untrained model does not (slow: about ten minutes).

Tree and settings were chosen on portraits of other seeds; the figures are of seed 4.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.trees import resolve_tree
from tasks.metric.checkpoint import load_checkpoint
from tasks.metric.distances import bounded_snr_distance
from tasks.metric.evaluation import Precision, distance_quantiles, percentile
from tasks.metric.model import EmbeddingModel, build_model, embed, load_model
from tasks.metric.node_job import NodeJob
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject
from tasks.metric.training_data import TrainingData, training_data
from tasks.segments.compose import compose, present
from tasks.segments.framing import frame
from tasks.segments.portraits import Portrait, PortraitSource, PortraitSpec, opposite_pair
from tasks.segments.shards import make_shard, plan_shards
from tasks.segments.store import open_store

LOG = logging.getLogger(__name__)
PORTRAITS = PortraitSpec(size=128, train=2400, validation=500, seed=4)
OPTIONS = TrainingOptions(trunk="small", size=48, framing="crop", augmentation="full", epochs=14, patience=14, batch=32)
TREE = "demo"
PAIRS = 200


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """What one leaf showed: P@K, and the percentile of each pair, NaN where the part is absent."""

    precision: Precision
    trained: list[float]
    untrained: list[float]


def percentiles(model: EmbeddingModel, data: TrainingData, pairs: list[tuple[Portrait, Portrait]]) -> list[float]:
    quantiles = distance_quantiles(embed(model, data.validation.batches("cpu"), "cpu"))
    size = data.validation.data.images.shape[-1]
    class_ids, found = data.validation.class_ids, []
    for pair in pairs:
        framed = [frame(drawn.image, drawn.label_map, class_ids, "crop", size) for drawn in pair]
        images, label_maps = (torch.from_numpy(np.stack(part)) for part in zip(*framed, strict=True))
        if not present(label_maps, class_ids).all():
            found.append(np.nan)
            continue
        a, b = embed(model, [compose(images, label_maps, class_ids, OPTIONS.fill)], "cpu").split(1)
        place = percentile(bounded_snr_distance(a, b).item(), quantiles)
        assert place is not None
        found.append(place)
    return found


def measure(name: str, folder: Path) -> Leaf:
    store = open_store(folder / "store")
    subject = node_subject(resolve_tree(TREE, store)[name], store, OPTIONS)
    data = subject.data(store, folder / "decoded")
    job = NodeJob(node=name, key=name, folder=folder / name, options=subject.options)
    result = subject.train(job, data, lambda _: None)
    trained = load_model(OPTIONS.model, load_checkpoint(result.checkpoint, result.checkpoint_sha256))
    pairs = [opposite_pair(PORTRAITS, index) for index in range(PAIRS)]
    return Leaf(
        precision=result.precision,
        trained=percentiles(trained, data, pairs),
        untrained=percentiles(build_model(OPTIONS.model), data, pairs),
    )


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Leaf]:
    folder, source = tmp_path_factory.mktemp("planted"), PortraitSource(PORTRAITS)
    for plan in plan_shards(source, source.classes(), None):
        make_shard(source, plan, folder / "store", source.classes(), None, {})
    training_data(open_store(folder / "store"), None, OPTIONS, folder / "decoded")
    names = [leaf.name for leaf in resolve_tree(TREE, open_store(folder / "store")).leaves]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return dict(zip(names, pool.map(measure, names, [folder] * len(names)), strict=True))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_leaf_with_the_cause_has_the_highest_precision_outside_the_interval(leaves: dict[str, Leaf]) -> None:
    intervals = {name: leaf.precision.intervals[1] for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        LOG.info("%s: P@1 %.3f, %s", name, leaf.precision.at[1], intervals[name])
    low, _ = intervals.pop(PORTRAITS.cause) or (0.0, 0.0)
    assert all(other is not None and other[1] < low for other in intervals.values())


@pytest.mark.slow
def test_it_is_the_farthest_apart_in_pairs_that_differ_in_the_cause_alone(leaves: dict[str, Leaf]) -> None:
    def share(of: Callable[[Leaf], list[float]]) -> float:
        table = np.array([of(leaf) for leaf in leaves.values()])
        farthest = np.array(list(leaves))[np.nanargmax(table, axis=0)]
        return float(np.mean(farthest == PORTRAITS.cause))

    trained, untrained = share(lambda leaf: leaf.trained), share(lambda leaf: leaf.untrained)
    LOG.info("the cause is the farthest apart in %.3f of %d pairs; untrained in %.3f", trained, PAIRS, untrained)
    assert trained >= 0.9
    assert untrained < 0.5
