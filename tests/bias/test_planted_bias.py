"""The shortcut score finds a planted shortcut, and finds none where there is none: 20 data sets each, real trainings.

Portraits whose hair carries the label. In the biased sets the cloth agrees with it in most training images, and in half
of the validation images. Trees of leaves alone. About half an hour on a free core for each share.
"""

import logging
from pathlib import Path

import pytest

from tasks.bias.cross_fit import cross_fit
from tasks.bias.part_drops import PartDrops, part_drops
from tasks.bias.presence import shows
from tasks.metric.options import TrainingOptions
from tasks.metric.subject import node_subject
from tasks.segments.portraits import PortraitSource, PortraitSpec
from tasks.segments.shards import make_shard, plan_shards
from tasks.segments.source import SPLITS
from tasks.segments.store import open_store
from tasks.segments.tree import parse_tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(6 * 3600)]

LOG = logging.getLogger(__name__)
SEEDS = 20
LEAVES = ("hair", "cloth", "eyes", "lips", "skin", "hat")
OPTIONS = TrainingOptions(
    trunk="small", size=48, framing="crop", embedding=32, epochs=8, batch=32, learning_rate=1e-3, threads=1
)


def judged(share: float, seed: int, train: int, folder: Path) -> PartDrops:
    """All drops on portraits of which the cloth agrees with the label in a share of the training images."""
    source = PortraitSource(PortraitSpec(train=train, validation=400, shortcut_train=share, seed=seed))
    for plan in plan_shards(source, source.classes(), None):
        make_shard(source, plan, folder / "store", source.classes(), None, {})
    store = open_store(folder / "store")
    leaves = parse_tree({"tree": list(LEAVES)}).leaves
    fits = {
        leaf.name: cross_fit(node_subject(leaf, store, OPTIONS), store, folder / "decoded", folder / "fits")
        for leaf in leaves
    }
    labels = {split: store.columns(split, ["label"])["label"] for split in SPLITS}
    shown = {split: {leaf.name: shows(store, split, leaf.classes or ()) for leaf in leaves} for split in SPLITS}
    return part_drops(fits, labels, shown, seed=0)


def largest(found: PartDrops) -> str:
    """The leaf with the largest drop, of its look or its presence."""
    drops = [*found.look.items(), *found.presence.items()]
    return max(drops, key=lambda item: item[1].value)[0]


def alarms(found: PartDrops) -> list[str]:
    """What raised an alarm."""
    kinds = {"look": found.look, "presence": found.presence}
    return [f"{kind} of {name}" for kind, drops in kinds.items() for name, drop in drops.items() if drop.alarm]


@pytest.mark.parametrize(("share", "train"), [(0.9, 800), (0.95, 800), (0.8, 1600)])
def test_the_planted_shortcut_comes_first(share: float, train: int, tmp_path: Path) -> None:
    first, alarmed, alone = 0, 0, 0
    for seed in range(SEEDS):
        found = judged(share, seed, train, tmp_path / str(seed))
        name, raised = largest(found), alarms(found)
        first += name == "cloth"
        alarmed += "look of cloth" in raised
        alone += raised == ["look of cloth"]
        drop = found.look["cloth"].value
        LOG.info("%s, seed %d: first %s, drop of cloth %.3f, alarms %s", share, seed, name, drop, raised)
    LOG.info("%s: first in %d of %d, alarm in %d, the only one in %d", share, first, SEEDS, alarmed, alone)
    assert first >= SEEDS - 1


def test_where_there_is_no_bias_there_is_no_alarm(tmp_path: Path) -> None:
    quiet = 0
    for seed in range(SEEDS):
        found = judged(0.5, 100 + seed, 800, tmp_path / str(seed))
        quiet += not alarms(found)
        LOG.info("no bias, seed %d: largest %s, alarms %s", 100 + seed, largest(found), alarms(found))
    assert quiet >= SEEDS - 1
