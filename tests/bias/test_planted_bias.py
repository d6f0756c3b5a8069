"""The shortcut score finds a planted shortcut, and finds none where there is none: 20 data sets each, real trainings.

Portraits whose hair carries the label. In the biased sets the cloth agrees with it in most training images, and in half
of the validation images. Trees of leaves alone. About half an hour on a free core for each share.
"""

import logging
from pathlib import Path

import pytest

from tasks.bias.cross_fit import cross_fit
from tasks.bias.shortcut import Drop, balanced, drops, ranked
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject
from tasks.segments.portraits import PortraitSource, PortraitSpec
from tasks.segments.shards import make_shard, plan_shards
from tasks.segments.store import open_store
from tasks.segments.tree import parse_tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(6 * 3600)]

LOG = logging.getLogger(__name__)
SEEDS = 20
LEAVES = ("hair", "cloth", "eyes", "lips", "skin", "hat")
OPTIONS = TrainingOptions(
    trunk="small", size=48, framing="crop", embedding=32, epochs=8, batch=32, learning_rate=1e-3, threads=1
)


def shortcut_drops(share: float, seed: int, train: int, folder: Path) -> dict[str, Drop]:
    """Every leaf's drop on portraits of which the cloth agrees with the label in a share of the training images."""
    source = PortraitSource(PortraitSpec(train=train, validation=400, shortcut_train=share, seed=seed))
    for plan in plan_shards(source, source.classes(), None):
        make_shard(source, plan, folder / "store", source.classes(), None, {})
    store = open_store(folder / "store")
    labels = {split: store.columns(split, ["label"])["label"] for split in ("train", "validation")}  # type: ignore[arg-type]
    figures = {}
    for leaf in parse_tree({"tree": list(LEAVES)}).leaves:
        found = cross_fit(node_subject(leaf, store, OPTIONS), store, folder / "decoded", folder / "fits")
        assert found is not None
        asked = ((found.train, found.train_indices), (found.validation, found.validation_indices))
        train_figure, validation_figure = (
            balanced(shares, [labels[split][index] for index in indices])
            for split, (shares, indices) in zip(labels, asked, strict=True)
        )
        assert train_figure is not None and validation_figure is not None
        figures[leaf.name] = (train_figure, validation_figure)
    return drops(figures)


@pytest.mark.parametrize(("share", "train"), [(0.9, 800), (0.95, 800), (0.8, 1600)])
def test_the_planted_shortcut_comes_first(share: float, train: int, tmp_path: Path) -> None:
    first, alarmed, alone = 0, 0, 0
    for seed in range(SEEDS):
        found = shortcut_drops(share, seed, train, tmp_path / str(seed))
        order, alarms = ranked(found), [name for name, drop in found.items() if drop.alarm]
        first += order[0] == "cloth"
        alarmed += "cloth" in alarms
        alone += alarms == ["cloth"]
        LOG.info("%s, seed %d: first %s %.3f, alarms %s", share, seed, order[0], found[order[0]].value, alarms)
    LOG.info("%s: first in %d of %d, alarm in %d, the only one in %d", share, first, SEEDS, alarmed, alone)
    assert first >= SEEDS - 1


def test_where_there_is_no_bias_there_is_no_alarm(tmp_path: Path) -> None:
    quiet = 0
    for seed in range(SEEDS):
        found = shortcut_drops(0.5, 100 + seed, 800, tmp_path / str(seed))
        alarms = [name for name, drop in found.items() if drop.alarm]
        quiet += not alarms
        largest = max(drop.value for drop in found.values())
        LOG.info("no bias, seed %d: largest drop %.3f, alarms %s", 100 + seed, largest, alarms)
    assert quiet >= SEEDS - 1
