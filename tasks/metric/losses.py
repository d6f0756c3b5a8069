"""The seven losses by name, each with its miner and the distance that fits it (HEML, Table I).

The library is imported where a loss is made: the names alone are asked for far more often, and it takes a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from tasks.metric.distances import OwnDistance

TRIPLET_MARGIN = 0.1  # HEML's default
MINER_EPSILON = 0.1  # the common metric-learning example's
SUB_CENTRES = 3  # of a label, as published with the loss


@dataclass(frozen=True, kw_only=True)
class LossFamily:
    """A loss and what belongs to it.

    Attributes:
        build: makes the loss from the number of labels and the embedding's dimensions; it is called with embeddings
            [n, d], labels [n] and the miner's result. Its own parameters, if any, come from torch's current seed.
        own_distance: the distance by which a node trained with this loss finds its neighbours.
        mined: whether hard pairs are mined for it. Losses with proxies compare each image with every proxy.
    """

    build: "Callable[[int, int], nn.Module]"
    own_distance: "OwnDistance"
    mined: bool

    def miner(self) -> "nn.Module | None":
        """The miner of hard pairs; None for a loss that compares with proxies."""
        from pytorch_metric_learning.miners import MultiSimilarityMiner

        return MultiSimilarityMiner(epsilon=MINER_EPSILON) if self.mined else None


def _triplet(labels: int, dimensions: int) -> "nn.Module":
    """The hinge max(0, d_ap - d_an + margin); the absolute value that the paper prints is a slip (our reading)."""
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss

    # The distance is not squared in the hinge: the square's gradient fades where all embeddings lie close together, and
    # training starts there. The order of neighbours, and so P@K, is the same.
    distance = LpDistance(normalize_embeddings=True, p=2, power=1)
    loss: nn.Module = TripletMarginLoss(margin=TRIPLET_MARGIN, distance=distance)
    return loss


def _angular(labels: int, dimensions: int) -> "nn.Module":
    """The angle at the negative, at most 40 degrees, of L2-normalised embeddings."""
    from tasks.metric.angular_loss import NormalisedAngularLoss

    return NormalisedAngularLoss(alpha=40)


def _multi_similarity(labels: int, dimensions: int) -> "nn.Module":
    """Pairs weighted by three similarities, with the constants published with the loss."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    loss: nn.Module = MultiSimilarityLoss(alpha=2, beta=50, base=0.5, distance=CosineSimilarity())
    return loss


def _ntxent(labels: int, dimensions: int) -> "nn.Module":
    """Cross-entropy of pairs, at the temperature of the library."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import NTXentLoss

    loss: nn.Module = NTXentLoss(temperature=0.07, distance=CosineSimilarity())
    return loss


def _snr(labels: int, dimensions: int) -> "nn.Module":
    """Contrastive: max(0, margin - d) for two labels; the plus sign that the paper prints is a slip (our reading)."""
    from pytorch_metric_learning.distances import SNRDistance
    from pytorch_metric_learning.losses import SignalToNoiseRatioContrastiveLoss

    loss: nn.Module = SignalToNoiseRatioContrastiveLoss(distance=SNRDistance())
    return loss


def _proxy_anchor(labels: int, dimensions: int) -> "nn.Module":
    """One learned proxy a label, with the constants published with the loss."""
    from pytorch_metric_learning.losses import ProxyAnchorLoss

    loss: nn.Module = ProxyAnchorLoss(labels, dimensions, margin=0.1, alpha=32)
    return loss


def _subcenter_arcface(labels: int, dimensions: int) -> "nn.Module":
    """Learned sub-centres of each label, an angular margin in degrees."""
    from pytorch_metric_learning.losses import SubCenterArcFaceLoss

    loss: nn.Module = SubCenterArcFaceLoss(
        num_classes=labels, embedding_size=dimensions, margin=28.6, scale=64, sub_centers=SUB_CENTRES
    )
    return loss


LOSSES: dict[str, LossFamily] = {
    "triplet": LossFamily(build=_triplet, own_distance="squared_euclidean", mined=True),
    "angular": LossFamily(build=_angular, own_distance="squared_euclidean", mined=True),
    "multi_similarity": LossFamily(build=_multi_similarity, own_distance="cosine", mined=True),
    "ntxent": LossFamily(build=_ntxent, own_distance="cosine", mined=True),
    "snr": LossFamily(build=_snr, own_distance="snr", mined=True),
    "proxy_anchor": LossFamily(build=_proxy_anchor, own_distance="cosine", mined=False),
    "subcenter_arcface": LossFamily(build=_subcenter_arcface, own_distance="cosine", mined=False),
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
