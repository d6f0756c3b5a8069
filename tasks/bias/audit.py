"""Audit a data set through a trained tree: what do its labels lean on?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import torch

from tasks.bias.amplification import Amplification, amplification
from tasks.bias.bias_record import BiasReport, SegmentAudit, WithinGroups
from tasks.bias.cross_fit import CrossFit
from tasks.bias.decided import Decided
from tasks.bias.group_precision import group_precision
from tasks.bias.groups import UNKNOWN, group_values
from tasks.bias.part_drops import PartDrops, at, part_drops
from tasks.bias.presence import presence_counts, shows
from tasks.bias.shortcut import FALSE_ALARM, Balanced, Drop, balanced, enough
from tasks.bias.what_if import what_if
from tasks.metric.compare import Difference
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.precision import bootstrap_interval
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.label_functions import label_functions
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode


@dataclass(frozen=True, kw_only=True)
class CrossFits:
    """What parts and controls tell of photos that they were not trained on; None where one could not be trained.

    Attributes:
        leaves: leaf to its cross-fit.
        shapes: leaf to that of its mask alone; empty without controls.
        background: of the photo's background alone; None without controls.
    """

    leaves: Mapping[str, CrossFit | None]
    shapes: Mapping[str, CrossFit | None]
    background: CrossFit | None


@dataclass(frozen=True)
class _Photos:
    """Labels and groups of both splits, in the store's order."""

    labels: Mapping[Split, tuple[str, ...]]
    groups: Mapping[Split, tuple[str, ...]] | None


def audit(
    trained: TrainedTree, store: SegmentStore, decided: Decided, fits: CrossFits, *, group: str | None, photos: int
) -> BiasReport:
    """Audit a store.

    Args:
        trained: a tree that was trained on it, or on data with the same classes.
        store: the data; it passed `check_auditable`.
        decided: its photos as the tree places them.
        fits: cross-fits of the tree's leaves, and of controls.
        group: what `find_group` gave.
        photos: validation photos that each segment of another one is put into.
    """
    seed = trained.options.seed
    known = _Photos(
        store.labels,
        None if group is None else {split: group_values(store, split, group) for split in SPLITS},
    )
    leaves = trained.tree.leaves
    shown = {split: {leaf.name: shows(store, split, _classes(leaf)) for leaf in leaves} for split in SPLITS}
    shares = decided.precision()
    given = None if known.groups is None else known.groups["validation"]
    judged = part_drops(fits.leaves, known.labels, shown, seed)
    told = set(label_functions(store))
    segments = [
        _segment(leaf, fits, judged, known, bool(told & set(_classes(leaf))), trained, decided) for leaf in leaves
    ]
    here = replace(trained, classes=store.classes)  # classes are matched by name
    exchanged = (what_if(here, store, decided, leaf, photos, seed) for leaf in leaves)
    return BiasReport(
        source=store.source,
        store=store.digest,
        labels=tuple(sorted(set(known.labels["train"]) & set(known.labels["validation"]))),
        group=group,
        decision=trained.decision,
        precision=float(shares.mean()),
        precision_interval=bootstrap_interval(shares),
        segments=tuple(sorted(segments, key=lambda segment: (not segment.reasons, -segment.score))),
        counts=tuple(
            count
            for split in SPLITS
            for count in presence_counts(
                split, known.labels[split], None if known.groups is None else known.groups[split], shown[split]
            )
        ),
        groups=None if given is None else group_precision(shares, decided.labels, given),
        amplification=None if known.groups is None else _amplification(known, decided),
        what_if=tuple(found for found in exchanged if found is not None),
        tree={node.name: node.children for node in trained.tree.nodes},
        node_precision={node.name: trained.nodes[node.name].precision.at[1] for node in trained.tree.nodes},
        seed=seed,
    )


def _segment(
    leaf: TreeNode,
    fits: CrossFits,
    judged: PartDrops,
    known: _Photos,
    label_function: bool,
    trained: TrainedTree,
    decided: Decided,
) -> SegmentAudit:
    fit, shape, background = fits.leaves.get(leaf.name), fits.shapes.get(leaf.name), fits.background
    look = judged.look.get(leaf.name)
    controls = [control for control in (shape, background) if control is not None]
    node = decided.queries.get(leaf.name)
    _, numbers = np.unique(decided.labels, return_inverse=True)
    return SegmentAudit(
        segment=leaf.name,
        classes=_classes(leaf),
        look=look,
        presence=judged.presence.get(leaf.name),
        shape=None if fit is None or shape is None else _among(shape, fit, known),
        background=None if fit is None or background is None else _among(background, fit, known),
        above_controls=None if fit is None else _above(fit, controls, known),
        within=None if fit is None or look is None or known.groups is None else _within(fit, look, known, len(judged)),
        label_function=label_function,
        p_at_1=Precision.none(0)
        if node is None
        else evaluate(node.embeddings, torch.from_numpy(numbers)[node.indices], trained.own_distance),
    )


def _among(control: CrossFit, fit: CrossFit, known: _Photos) -> Balanced | None:
    """What a control tells of the training photos that show the part."""
    here = np.isin(control.train_indices, fit.train_indices)
    labels = at(known.labels["train"], control.train_indices[here])
    return balanced(control.train[here], labels, enough(labels))


def _above(fit: CrossFit, controls: Sequence[CrossFit], known: _Photos) -> Difference | None:
    """The part's P@1 less that of the better control, over the training photos that all have; balanced."""
    shared = fit.train_indices
    for control in controls:
        shared = np.intersect1d(shared, control.train_indices)
    labels = np.array(at(known.labels["train"], shared), dtype=np.str_)
    names = enough(labels.tolist())
    if not controls or not names:
        return None
    weights = sum((labels == name) / (labels == name).sum() for name in names) * len(shared) / len(names)
    mine, *others = (each.train[np.isin(each.train_indices, shared)] * weights for each in (fit, *controls))
    return Difference.of(mine - max(others, key=lambda shares: float(shares.mean())))


def _within(fit: CrossFit, look: Drop, known: _Photos, parts: int) -> WithinGroups | None:
    """The group of training photos within which the part most surely tells less than over all."""
    assert known.groups is not None
    groups, labels = (np.array(at(of["train"], fit.train_indices)) for of in (known.groups, known.labels))
    among = enough(labels.tolist())
    found = {}
    for group in sorted(set(groups.tolist()) - {UNKNOWN}):
        figure = balanced(fit.train[groups == group], labels[groups == group].tolist(), among)
        if figure is not None:
            chance = NormalDist().cdf((figure.value - look.train.value) / figure.variance**0.5)
            found[group] = (chance, figure)
    if not found:
        return None
    group, (chance, least) = min(found.items(), key=lambda item: item[1][0])
    p_value = min(1.0, len(found) * chance)
    lost = p_value < FALSE_ALARM / parts and least.interval[0] <= 1 / len(among) < look.train.interval[0]
    return WithinGroups(group=group, least=least, p_value=p_value, alarm=lost)


def _amplification(known: _Photos, decided: Decided) -> Amplification | None:
    assert known.groups is not None
    groups = known.groups["validation"]
    return amplification(
        (known.labels["train"], known.groups["train"]),
        decided.labels,
        groups,
        decided.nearest(known.labels["train"]),
        decided.nearest(known.groups["train"]),
    )


def _classes(leaf: TreeNode) -> tuple[str, ...]:
    return leaf.classes or ()
