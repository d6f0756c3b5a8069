"""Splits and samples that keep the shares of the labels, and hardly change when photos are added.

Within a label, photos are ordered by a hash of the seed and their name, so neither the order of the rows nor the
version of a random generator matters, and a photo more moves at most one other to the other split.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import TypeVar

from tasks.errors import InputError
from tasks.segments.source import Split

Stratum = TypeVar("Stratum", bound=Hashable)


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
        InputError: the share is out of range, there are fewer than two labels, or a label has only one photo.
    """
    if not 0 < validation < 1:
        raise InputError(f"the validation share must be between 0 and 1; got {validation}: 0.2 would do")
    strata = _ordered(labels, seed)
    check_labels({label: len(names) for label, names in strata.items()})
    splits: dict[str, Split] = {}
    for names in strata.values():
        held_out = min(max(math.floor(len(names) * validation + 0.5), 1), len(names) - 1)
        splits |= {name: "validation" if rank < held_out else "train" for rank, name in enumerate(names)}
    return splits


def stratified_sample(strata: Mapping[str, Stratum], limit: int, seed: int) -> frozenset[str]:
    """Keep a few photos, in the same proportions.

    Args:
        strata: photo name to what the shares are kept of (label, or split and label).
        limit: how many to keep; all are kept if there are no more than that.
        seed: another seed, another sample. A larger limit keeps (nearly) all of what a smaller one keeps.

    Returns:
        The kept names: each stratum's share by largest remainder, at least one of each.

    Raises:
        InputError: the limit is smaller than the number of strata.
    """
    ordered = _ordered(strata, seed)
    if limit < len(ordered):
        raise InputError(f"a limit of {limit} photos is too few for {len(ordered)} labels and splits: raise it")
    if limit >= len(strata):
        return frozenset(strata)
    shares = {stratum: limit * len(names) / len(strata) for stratum, names in ordered.items()}
    quotas = {stratum: max(math.floor(share), 1) for stratum, share in shares.items()}
    # Larger remainders first; strata come sorted, so ties are broken the same way every time.
    for stratum in sorted(shares, key=lambda key: quotas[key] - shares[key]):
        if sum(quotas.values()) < limit:
            quotas[stratum] += 1
    # The minimum of one each may have given away too many: the largest strata pay.
    while sum(quotas.values()) > limit:
        quotas[max(quotas, key=lambda key: quotas[key])] -= 1
    return frozenset(name for stratum, names in ordered.items() for name in names[: quotas[stratum]])


def check_labels(counts: Mapping[str, int]) -> None:
    """Raise InputError unless there are two labels with two photos each."""
    if len(counts) < 2:
        raise InputError(
            f"photos need two labels or more to tell apart; got one label only: {next(iter(counts), '')!r}"
        )
    single = [label for label, count in counts.items() if count < 2]
    if single:
        raise InputError(
            f"every label needs two photos or more; got one of {', '.join(map(repr, single[:5]))}: add photos, or leave it out"
        )


def _ordered(strata: Mapping[str, Stratum], seed: int) -> dict[Stratum, list[str]]:
    """Names by stratum, in hash order; strata in the order of their text."""
    groups: dict[Stratum, list[str]] = defaultdict(list)
    for name in strata:
        groups[strata[name]].append(name)
    return {
        stratum: sorted(groups[stratum], key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
        for stratum in sorted(groups, key=repr)
    }
