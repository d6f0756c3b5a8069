"""Directional bias amplification (Wang and Russakovsky, "Directional Bias Amplification", ICML 2021).

`BiasAmp = 1/(|A| |T|) sum_{a,t} y_at D_at - (1 - y_at) D_at`. Here y_at says whether group a and label t occur together
more often than by chance in training, and D_at is how much more often the model says one, given the other, than it is
so: `P(t^ | a) - P(t | a)` from group to label, `P(a^ | t) - P(a | t)` from label to group. Above 0 the model amplifies
what training has. What the model says of a photo is what its nearest training photo is (our reading). Labels
and groups that one split lacks are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Amplification:
    """Both directions.

    Attributes:
        group_to_label, label_to_group: in [-1, 1].
        group_to_label_interval, label_to_group_interval: 95 %, photos are resampled.
    """

    group_to_label: float
    group_to_label_interval: tuple[float, float]
    label_to_group: float
    label_to_group_interval: tuple[float, float]


def amplification(
    training: tuple[tuple[str, ...], tuple[str, ...]],
    labels: tuple[str, ...],
    groups: tuple[str, ...],
    said_labels: Mapping[str, NDArray[np.float64]],
    said_groups: Mapping[str, NDArray[np.float64]],
) -> Amplification | None:
    """Both directions on a validation split.

    Args:
        training: labels and groups of the training photos, which say what goes together.
        labels, groups: n, of the validation photos.
        said_labels, said_groups: label and group to how far each photo's nearest neighbour is of it, float64 [n].

    Returns:
        None where the splits have no label or no group in common.
    """
    names, kinds = sorted(set(labels) & set(said_labels)), sorted(set(groups) & set(said_groups))
    if not names or not kinds:
        return None
    true_labels = np.array([[label == name for name in names] for label in labels], dtype=np.float64)
    true_groups = np.array([[group == kind for kind in kinds] for group in groups], dtype=np.float64)
    found_labels = np.stack([said_labels[name] for name in names], axis=1)
    found_groups = np.stack([said_groups[kind] for kind in kinds], axis=1)
    together = _together(training, kinds, names)

    def both(photos: NDArray[np.int64]) -> tuple[float, float]:
        to_label = _amplified(true_groups[photos], found_labels[photos] - true_labels[photos], together)
        to_group = _amplified(true_labels[photos], found_groups[photos] - true_groups[photos], together.T)
        return to_label, to_group

    generator = np.random.default_rng(0)
    n = len(labels)
    resampled = np.array([both(generator.integers(n, size=n)) for _ in range(_RESAMPLES)])
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    to_label, to_group = both(np.arange(n))
    return Amplification(
        group_to_label=to_label,
        group_to_label_interval=(float(low[0]), float(high[0])),
        label_to_group=to_group,
        label_to_group_interval=(float(low[1]), float(high[1])),
    )


def _together(
    training: tuple[tuple[str, ...], tuple[str, ...]], kinds: list[str], names: list[str]
) -> NDArray[np.bool_]:
    """Whether each group and label occur together more often than by chance in training, bool [groups, labels]."""
    labels, groups = training
    counts = np.array(
        [[sum(pair == (name, kind) for pair in zip(labels, groups, strict=True)) for name in names] for kind in kinds]
    )
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / max(1, counts.sum())
    more: NDArray[np.bool_] = counts > expected
    return more


def _amplified(given: NDArray[np.float64], excess: NDArray[np.float64], together: NDArray[np.bool_]) -> float:
    """Mean over all cells of the excess, signed by what training has; a given that no photo has adds nothing.

    Args:
        given: float64 [n, g], one-hot.
        excess: float64 [n, s], how much more than it is so each is said.
        together: bool [g, s].
    """
    mean = given.T @ excess / np.maximum(given.sum(axis=0), 1)[:, None]
    return float(np.where(together, mean, -mean).mean())
