"""How much less each part's look, and its presence, tells of validation photos: all judged together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.bias.cross_fit import CrossFit, halves
from tasks.bias.presence import presence_shares
from tasks.bias.shortcut import Balanced, Drop, balanced, drops, enough
from tasks.segments.source import Split

_LOOK, _PRESENCE = "look", "presence"


@dataclass(frozen=True, kw_only=True)
class PartDrops:
    """The drops of all parts.

    Attributes:
        look, presence: leaf to its drop; those that too few photos show, or lack, are not there.
    """

    look: dict[str, Drop]
    presence: dict[str, Drop]

    def __len__(self) -> int:
        return len(self.look) + len(self.presence)


def part_drops(
    leaves: Mapping[str, CrossFit | None],
    labels: Mapping[Split, Sequence[str]],
    shown: Mapping[Split, Mapping[str, NDArray[np.bool_]]],
    seed: int,
) -> PartDrops:
    """Judge every leaf, over the labels of which both splits have enough photos.

    Args:
        leaves: leaf to its cross-fit; None where it cannot be trained.
        labels: of every photo of both splits.
        shown: leaf to whether each photo shows it, bool [n].
        seed: of the half that the rule of presence is learned on.
    """
    figures: dict[tuple[str, str], tuple[Balanced, Balanced]] = {}

    def judge(what: str, name: str, *sides: tuple[NDArray[np.float64], Sequence[str]]) -> None:
        among = enough(*(of_side for _, of_side in sides))
        train, validation = (balanced(shares, of_side, among) for shares, of_side in sides)
        if train is not None and validation is not None:
            figures[what, name] = (train, validation)

    for name, fit in leaves.items():
        if fit is not None:
            judge(
                _LOOK,
                name,
                (fit.train, at(labels["train"], fit.train_indices)),
                (fit.validation, at(labels["validation"], fit.validation_indices)),
            )
        there, asked = shown["train"][name], shown["validation"][name]
        if there.any() and not there.all():
            judge(_PRESENCE, name, *_presence(there, labels["train"], asked, labels["validation"], seed))
    # One family: whether a look or a presence stands out is judged among all of them.
    found = drops({" ".join(key): pair for key, pair in figures.items()})
    judged = {key: found[" ".join(key)] for key in figures}
    return PartDrops(
        look={name: drop for (what, name), drop in judged.items() if what == _LOOK},
        presence={name: drop for (what, name), drop in judged.items() if what == _PRESENCE},
    )


def at(values: Sequence[str], indices: NDArray[np.int64]) -> tuple[str, ...]:
    """The values of some photos."""
    return tuple(values[index] for index in indices.tolist())


def _presence(
    there: NDArray[np.bool_], labels: Sequence[str], asked: NDArray[np.bool_], asked_labels: Sequence[str], seed: int
) -> tuple[tuple[NDArray[np.float64], Sequence[str]], tuple[NDArray[np.float64], Sequence[str]]]:
    """Shares and labels of training and validation photos, by a rule that was learned on half of the training photos.

    The other half alone is asked: two halves that ask each other's rule are right and wrong together, and a chance
    association of the whole split would count twice.
    """
    half = halves(np.unique(np.array(labels), return_inverse=True)[1], seed)
    learned, left = np.flatnonzero(half == 0), np.flatnonzero(half != 0)
    rule, left_labels = (there[learned], at(labels, learned)), at(labels, left)
    new = presence_shares(*rule, there[left], left_labels)
    return (new, left_labels), (presence_shares(*rule, asked, asked_labels), asked_labels)
