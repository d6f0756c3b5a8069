"""Splits and samples that keep the shares of the labels, and hardly change when photos are added.

Within a label, photos are ordered by a hash of the seed and their name, so neither the order of the rows nor the
version of a random generator matters, and a photo more moves at most one other to the other split. Whole labels can
be split in the same way.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from tasks.errors import InputError
from tasks.segments.names import check_name
from tasks.segments.source import Item, Split

Stratum = TypeVar("Stratum", bound=Hashable)


def arrange_items(
    items: Sequence[Item],
    *,
    where: str,
    validation: float | None,
    limit: int | None,
    seed: int,
    by_label: bool = False,
) -> tuple[Item, ...]:
    """Check the labels of a source's photos, give each a split, and keep a sample of them.

    Args:
        items: every photo of the source.
        where: the source's description (a file, a data set), for the messages.
        validation: share of the validation split, in (0, 1); None keeps the splits that the items have.
        limit: how many photos to keep; None keeps all.
        seed: of the split and of the sample.
        by_label: split the labels, not the photos of each.

    Returns:
        The kept items, by image_id.

    Raises:
        InputError: an id occurs twice, a label is empty, there are fewer than two labels (four, if they are split), a
            label has only one photo, the share or the limit is out of range, or an id, a label or a group is no name.
    """
    twice = [name for name, count in Counter(item.image_id for item in items).items() if count > 1]
    if twice:
        raise InputError(f"{where} has {some(twice)} more than once: keep one row a photo")
    empty = [item.image_id for item in items if not item.label]
    if empty:
        raise InputError(f"{where} has no label for {some(empty)}: fill the cells, or leave the rows out")
    for item in items:
        check_name(item.image_id, f"an id of {where}")
        for text, what in ((item.label, "label"), (item.group, "group")):
            if text is not None:
                check_name(text, f"{where}: the {what} of {item.image_id!r}")
    labels = {item.image_id: item.label for item in items}
    check_labels(labels, where)
    if validation is not None:
        splits = (split_by_label if by_label else stratified_split)(labels, validation, seed)
        items = [replace(item, split=splits[item.image_id]) for item in items]
    if limit is not None:
        kept = stratified_sample({item.image_id: (item.split, item.label) for item in items}, limit, seed)
        items = [item for item in items if item.image_id in kept]
    return tuple(sorted(items, key=lambda item: item.image_id))


def check_labels(labels: Mapping[str, str], where: str) -> None:
    """Raise InputError unless there are two labels or more, with two photos or more each."""
    counts = Counter(labels.values())
    if len(counts) < 2:
        only = f"one label only, {next(iter(counts))!r}" if counts else "no photo"
        raise InputError(f"{where} has {only}: give photos of two labels or more, for there must be something to tell")
    single = [label for label, count in counts.items() if count < 2]
    if single:
        raise InputError(
            f"{where} has a single photo of the label {some(single)}: each split needs one; add photos, or leave it out"
        )


def stratified_split(labels: Mapping[str, str], validation: float, seed: int) -> dict[str, Split]:
    """Split photos into training and validation, label by label.

    Args:
        labels: photo name to label; at least two photos of each label.
        validation: share of the validation split, in (0, 1).
        seed: another seed, another split.

    Returns:
        Photo name to split. Of n photos of a label, n * validation (rounded half up, at least 1, at most n - 1) are
        in validation.

    Raises:
        InputError: the share is out of range.
    """
    _check_share(validation)
    splits: dict[str, Split] = {}
    for names in _ordered(labels, seed).values():
        held_out = min(max(math.floor(len(names) * validation + 0.5), 1), len(names) - 1)
        splits |= {name: "validation" if rank < held_out else "train" for rank, name in enumerate(names)}
    return splits


def split_by_label(labels: Mapping[str, str], validation: float, seed: int) -> dict[str, Split]:
    """Split photos so that each label is in one split: validation asks for labels that training never saw.

    Args:
        labels: photo name to label; at least four labels.
        validation: share of the labels that are in the validation split, in (0, 1).
        seed: another seed, another split. Labels are ordered by its hash, as photos are.

    Returns:
        Photo name to split. Of n labels, n * validation (rounded half up, at least 2, at most n - 2) are in validation.

    Raises:
        InputError: the share is out of range, or there are fewer than four labels.
    """
    _check_share(validation)
    ((_, names),) = _ordered(dict.fromkeys(labels.values(), ""), seed).items()
    if len(names) < 4:
        raise InputError(
            f"labels can be split from 4 on, for each split needs something to tell; there are {len(names)}: "
            f"{', '.join(sorted(names))}: split the photos of each label"
        )
    novel = set(names[: min(max(math.floor(len(names) * validation + 0.5), 2), len(names) - 2)])
    return {photo: "validation" if label in novel else "train" for photo, label in labels.items()}


def stratified_sample(strata: Mapping[str, Stratum], limit: int, seed: int) -> frozenset[str]:
    """Keep a few photos, in the same proportions.

    Args:
        strata: photo name to what the shares are kept of (label, or split and label).
        limit: how many to keep; all are kept if there are no more than that.
        seed: another seed, another sample. A larger limit keeps (nearly) all that a smaller one keeps.

    Returns:
        The kept names: each stratum's share by largest remainder, at least one of each.

    Raises:
        InputError: the limit is smaller than the number of strata.
    """
    ordered = _ordered(strata, seed)
    if limit < len(ordered):
        raise InputError(
            f"a limit of {limit} photos is less than one for each label and split: {len(ordered)} would do"
        )
    if limit >= len(strata):
        return frozenset(strata)
    shares = {stratum: limit * len(names) / len(strata) for stratum, names in ordered.items()}
    quotas = {stratum: max(math.floor(share), 1) for stratum, share in shares.items()}
    # Larger remainders first; strata come sorted, so ties are broken the same way every time.
    for stratum in sorted(shares, key=lambda key: quotas[key] - shares[key]):
        quotas[stratum] += sum(quotas.values()) < limit
    # One each may have been too generous: the largest pay.
    while sum(quotas.values()) > limit:
        quotas[max(quotas, key=lambda key: quotas[key])] -= 1
    return frozenset(name for stratum, names in ordered.items() for name in names[: quotas[stratum]])


def some(names: Sequence[str]) -> str:
    """The first few names and how many there are, for a message."""
    shown = ", ".join(map(repr, names[:3]))
    return shown if len(names) <= 3 else f"{shown}, ... ({len(names)} in all)"


def _check_share(validation: float) -> None:
    if not 0 < validation < 1:
        raise InputError(f"the validation share must lie between 0 and 1; got {validation}: 0.2 would do")


def _ordered(strata: Mapping[str, Stratum], seed: int) -> dict[Stratum, list[str]]:
    """Names by stratum, in the order of their hashes; strata in the order of their text."""
    groups: dict[Stratum, list[str]] = defaultdict(list)
    for name, stratum in strata.items():
        groups[stratum].append(name)
    return {
        stratum: sorted(groups[stratum], key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
        for stratum in sorted(groups, key=repr)
    }
