"""Which parts are shortcuts: they tell the label of new training photos, and less of that of validation photos.

No group column is needed. The figures are balanced over the labels, so that labels of other shares move nothing
(our reading).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM = 0.05  # chance of one alarm or more, over all parts together, where there is nothing to find
LEAST_DROP = 0.05  # a smaller drop is none that anyone would act on
LEAST_PHOTOS = 8  # of a label: of fewer a normal approximation says nothing


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """A mean over labels of each label's mean, and the variance of that.

    Attributes:
        value: in [0, 1]; by chance 1 / labels.
        variance: of the mean.
        n: photos.
    """

    value: float
    variance: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval, by the normal approximation, within [0, 1]."""
        reach = NormalDist().inv_cdf(0.975) * self.variance**0.5
        return max(0.0, self.value - reach), min(1.0, self.value + reach)


@dataclass(frozen=True, kw_only=True)
class Drop:
    """How much less a part tells of validation photos than of new training photos.

    Attributes:
        train, validation: balanced P@1 of both.
        value: train less validation, in [-1, 1].
        p_value: chance of so large a drop where there is none, one-sided.
        alarm: whether the drop stands out among all parts and is large enough to matter.
    """

    train: Balanced
    validation: Balanced
    value: float
    p_value: float
    alarm: bool


def enough(*labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of which every list has 8 photos or more, sorted; none where there would be one only."""
    counts = [Counter(of_split) for of_split in labels]
    names = sorted(name for name in counts[0] if all(count[name] >= LEAST_PHOTOS for count in counts))
    return tuple(names) if len(names) > 1 else ()


def balanced(shares: NDArray[np.float64], labels: Sequence[str], among: Sequence[str]) -> Balanced | None:
    """Balanced mean of shares.

    Args:
        shares: float64 [n] in [0, 1].
        labels: n.
        among: the labels to take; photos of others are left out.

    Returns:
        The mean; None where one of them has fewer than 8 photos, or there are none.
    """
    names = np.array(labels, dtype=np.str_)
    own = [shares[names == name] for name in among]
    if min(map(len, own), default=0) < LEAST_PHOTOS:
        return None
    # A label whose shares are all alike still is a sample: rates as if one photo more of either kind had been seen.
    rates = [(float(part.sum()) + 1) / (len(part) + 2) for part in own]
    variances = [rate * (1 - rate) / len(part) for rate, part in zip(rates, own, strict=True)]
    return Balanced(
        value=float(np.mean([part.mean() for part in own])),
        variance=sum(variances) / len(own) ** 2,
        n=sum(map(len, own)),
    )


def drops(pairs: Mapping[str, tuple[Balanced, Balanced]]) -> dict[str, Drop]:
    """Judge all parts together.

    An alarm is raised by Holm's step-down procedure (1979), so that the chance of any false one stays below
    `FALSE_ALARM` over all parts.

    Args:
        pairs: name to the balanced figures of new training photos and of validation photos.

    Returns:
        Name to its drop, in the given order.
    """
    values = {name: train.value - validation.value for name, (train, validation) in pairs.items()}
    chances = {
        name: 1 - NormalDist().cdf(values[name] / (train.variance + validation.variance) ** 0.5)
        for name, (train, validation) in pairs.items()
    }
    standing_out = _holm(chances)
    return {
        name: Drop(
            train=train,
            validation=validation,
            value=values[name],
            p_value=chances[name],
            alarm=name in standing_out and values[name] >= LEAST_DROP,
        )
        for name, (train, validation) in pairs.items()
    }


def _holm(chances: Mapping[str, float]) -> set[str]:
    standing_out = set[str]()
    for tried, name in enumerate(sorted(chances, key=chances.__getitem__)):
        if chances[name] > FALSE_ALARM / (len(chances) - tried):
            break
        standing_out.add(name)
    return standing_out
