"""Audit a data set through a trained tree: what do its labels lean on?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.bias.amplification import Amplification, amplification
from tasks.bias.bias_record import BiasReport, SegmentAudit, WithinGroups
from tasks.bias.cross_fit import CrossFit, halves
from tasks.bias.decided import Decided
from tasks.bias.group_precision import group_precision
from tasks.bias.groups import group_values
from tasks.bias.presence import presence_counts, presence_shares, shows
from tasks.bias.shortcut import FALSE_ALARM, Balanced, Drop, balanced, drops
from tasks.bias.what_if import what_if
from tasks.metric.compare import Difference
from tasks.metric.evaluation import Precision, evaluate
from tasks.metric.precision import bootstrap_interval
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.label_functions import label_functions
from tasks.segments.source import SPLITS, Split
from tasks.segments.store import SegmentStore
from tasks.segments.tree import TreeNode

_PRESENT, _LOOK = "presence of ", "look of "


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
        store: the data.
        decided: its validation photos as the tree places them.
        fits: cross-fits of the tree's leaves, and of controls.
        group: what `find_group` gave.
        photos: validation photos that each segment of another one is put into.
    """
    seed = trained.options.seed
    known = _Photos(
        {split: tuple(store.columns(split, ["label"])["label"]) for split in SPLITS},
        None if group is None else {split: group_values(store, split, group) for split in SPLITS},
    )
    leaves = trained.tree.leaves
    shown = {split: {leaf.name: shows(store, split, _classes(leaf)) for leaf in leaves} for split in SPLITS}
    shares = decided.precision()
    given = None if known.groups is None else known.groups["validation"]
    judged = _drops(fits, known, shown, seed)
    told = set(label_functions(store))
    segments = [
        _segment(leaf, fits, judged, known, bool(told & set(_classes(leaf))), trained, decided) for leaf in leaves
    ]
    here = replace(trained, classes=store.classes)  # classes are matched by name
    exchanged = (what_if(here, store, decided, leaf, photos, seed) for leaf in leaves)
    return BiasReport(
        source=store.source,
        store=store.digest,
        labels=tuple(sorted({label for labels in known.labels.values() for label in labels})),
        synthetic=sum(value is not None for value in store.columns("train", ["provenance"])["provenance"]),
        group=group,
        decision=trained.decision,
        precision=float(shares.mean()),
        precision_interval=bootstrap_interval(shares),
        segments=tuple(sorted(segments, key=lambda segment: -segment.score)),
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


def _drops(
    fits: CrossFits, known: _Photos, shown: Mapping[Split, Mapping[str, NDArray[np.bool_]]], seed: int
) -> dict[str, Drop]:
    """Look and presence of every leaf, judged together."""
    figures: dict[str, tuple[Balanced | None, Balanced | None]] = {}
    train, validation = (known.labels[split] for split in SPLITS)
    numbers = np.unique(np.array(train), return_inverse=True)[1]
    half = halves(numbers, seed)
    for name, fit in fits.leaves.items():
        if fit is not None:
            figures[_LOOK + name] = (
                balanced(fit.train, _at(train, fit.train_indices)),
                balanced(fit.validation, _at(validation, fit.validation_indices)),
            )
        there, asked = shown["train"][name], shown["validation"][name]
        if there.any() and not there.all():
            right, of_validation = np.empty(len(there)), np.zeros(len(asked))
            for number in np.unique(half):
                learned, left = half == number, half != number
                rule = (there[learned], _at(train, np.flatnonzero(learned)))
                right[left] = presence_shares(*rule, there[left], _at(train, np.flatnonzero(left)))
                of_validation += presence_shares(*rule, asked, validation) / len(np.unique(half))
            figures[_PRESENT + name] = (balanced(right, train), balanced(of_validation, validation))
    return drops(
        {name: (of, beside) for name, (of, beside) in figures.items() if of is not None and beside is not None}
    )


def _segment(
    leaf: TreeNode,
    fits: CrossFits,
    judged: Mapping[str, Drop],
    known: _Photos,
    label_function: bool,
    trained: TrainedTree,
    decided: Decided,
) -> SegmentAudit:
    fit, shape, background = fits.leaves.get(leaf.name), fits.shapes.get(leaf.name), fits.background
    look = judged.get(_LOOK + leaf.name)
    controls = [control for control in (shape, background) if control is not None]
    node = decided.nodes.get(leaf.name)
    return SegmentAudit(
        segment=leaf.name,
        classes=_classes(leaf),
        look=look,
        presence=judged.get(_PRESENT + leaf.name),
        shape=None if shape is None else balanced(shape.train, _at(known.labels["train"], shape.train_indices)),
        background=None if fit is None or background is None else _among(background, fit, known),
        above_controls=None if fit is None or not controls else _above(fit, controls),
        within=None if fit is None or look is None or known.groups is None else _within(fit, look, known, len(judged)),
        label_function=label_function,
        p_at_1=Precision.none(0)
        if node is None
        else evaluate(node.embeddings, _numbers(decided.labels)[node.indices], trained.own_distance),
    )


def _among(background: CrossFit, fit: CrossFit, known: _Photos) -> Balanced | None:
    """What the background tells of the training photos that show the part."""
    here = np.isin(background.train_indices, fit.train_indices)
    return balanced(background.train[here], _at(known.labels["train"], background.train_indices[here]))


def _above(fit: CrossFit, controls: Sequence[CrossFit]) -> Difference | None:
    """The part's P@1 less that of the better control, over the training photos that both have."""
    found = []
    for control in controls:
        shared = np.intersect1d(fit.train_indices, control.train_indices)
        if len(shared) > 1:
            mine, its = (each.train[np.isin(each.train_indices, shared)] for each in (fit, control))
            found.append((float(its.mean()), mine - its))
    if not found:
        return None
    _, difference = max(found, key=lambda pair: pair[0])
    return Difference(value=float(difference.mean()), interval=bootstrap_interval(difference), n=len(difference))


def _within(fit: CrossFit, look: Drop, known: _Photos, parts: int) -> WithinGroups | None:
    """The group of training photos within which the part tells least."""
    assert known.groups is not None
    groups, labels = (_at(of["train"], fit.train_indices) for of in (known.groups, known.labels))
    count = len(set(known.labels["train"]))
    found = {}
    for group in sorted(set(groups)):
        here = np.array(groups) == group
        own = tuple(label for label, inside in zip(labels, here.tolist(), strict=True) if inside)
        figure = balanced(fit.train[here], own)
        if figure is not None and len(set(own)) == count:
            found[group] = figure
    if not found:
        return None
    group, least = min(found.items(), key=lambda pair: pair[1].value)
    chance = len(found) * NormalDist().cdf((least.value - look.train.value) / least.variance**0.5)
    lost = chance < FALSE_ALARM / parts and least.interval[0] <= 1 / count < look.train.interval[0]
    return WithinGroups(group=group, least=least, p_value=min(1.0, chance), alarm=lost)


def _amplification(known: _Photos, decided: Decided) -> Amplification:
    assert known.groups is not None
    groups = known.groups["validation"]
    return amplification(
        (known.labels["train"], known.groups["train"]),
        decided.labels,
        groups,
        decided.nearest(decided.labels),
        decided.nearest(groups),
    )


def _classes(leaf: TreeNode) -> tuple[str, ...]:
    return leaf.classes or ()


def _at(values: Sequence[str], indices: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(values[index] for index in indices.tolist())


def _numbers(labels: Sequence[str]) -> Tensor:
    """Labels as numbers, int64 [n]."""
    names = sorted(set(labels))
    return torch.tensor([names.index(label) for label in labels])
