"""Which epoch's weights a training keeps: the latest that is as good as any, as far as held-out images can tell."""

import math


def as_good(score: float, best: float, images: int) -> bool:
    """Whether an epoch is not worse than the best before it by more than the best's standard error.

    The one-standard-error rule (Breiman et al., *Classification and Regression Trees*, 1984), in favour of the later
    epoch, as the learning rate falls (our reading; the paper does not say which epoch it keeps).

    Args:
        score: the epoch's mean of P@1, P@2 and P@8 on held-out images, in [0, 1].
        best: the highest score of the epochs before.
        images: how many are held out.
    """
    return score >= best - standard_error(best, images)


def standard_error(share: float, n: int) -> float:
    """Of a share of n images; one success and one failure are added (Laplace), so that a share of 1 has one too."""
    smoothed = (share * n + 1) / (n + 2)
    return math.sqrt(smoothed * (1 - smoothed) / (n + 2))
