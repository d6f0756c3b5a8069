"""Losses by name, each with its miner and the distance that fits it (HEML sections 1.4 and 1.5)."""

from collections.abc import Callable
from dataclasses import dataclass

from pytorch_metric_learning.distances import LpDistance, SNRDistance
from pytorch_metric_learning.losses import SignalToNoiseRatioContrastiveLoss, TripletMarginLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import nn

from tasks.errors import InputError
from tasks.metric.distances import OwnDistance

TRIPLET_MARGIN = 0.1  # HEML's default
MINER_EPSILON = 0.1  # the common metric-learning example's


@dataclass(frozen=True, kw_only=True)
class LossFamily:
    """A loss and what belongs to it.

    Attributes:
        loss: makes the loss; it is called with embeddings [n, d], labels [n] and the miner's result.
        miner: makes the miner of hard pairs.
        own_distance: the distance by which a node trained with this loss finds its neighbours.
    """

    loss: Callable[[], nn.Module]
    miner: Callable[[], nn.Module]
    own_distance: OwnDistance


def _triplet() -> nn.Module:
    # The hinge max(0, d_ap - d_an + margin); the absolute value that the paper prints is a slip (our reading).
    # The distance is not squared in the hinge: the square's gradient fades where all embeddings lie close together, and
    # training starts there. The order of neighbours, and so P@K, is the same.
    distance = LpDistance(normalize_embeddings=True, p=2, power=1)
    return TripletMarginLoss(margin=TRIPLET_MARGIN, distance=distance)  # type: ignore[no-any-return]


def _snr() -> nn.Module:
    return SignalToNoiseRatioContrastiveLoss(distance=SNRDistance())  # type: ignore[no-any-return]


def _miner() -> nn.Module:
    return MultiSimilarityMiner(epsilon=MINER_EPSILON)  # type: ignore[no-any-return]


LOSSES: dict[str, LossFamily] = {
    "triplet": LossFamily(loss=_triplet, miner=_miner, own_distance="squared_euclidean"),
    "snr": LossFamily(loss=_snr, miner=_miner, own_distance="snr"),
}


def loss_family(name: str) -> LossFamily:
    """The loss of that name.

    Raises:
        InputError: there is none.
    """
    try:
        return LOSSES[name]
    except KeyError:
        raise InputError(f"unknown loss {name!r}: one of {', '.join(LOSSES)}") from None
