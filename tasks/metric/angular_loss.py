"""The angular loss on the unit sphere (Wang et al., arXiv 1708.01682; one of HEML's seven)."""

from pytorch_metric_learning.losses import AngularLoss
from torch import Tensor, nn


class NormalisedAngularLoss(nn.Module):
    """The library's angular loss of L2-normalised embeddings.

    The library (2.9) normalises anchors and positives but not the negatives, so that a long embedding would count as a
    hard one whatever its direction. Here all are normalised first.
    """

    def __init__(self, alpha: float) -> None:
        """Alpha: the bound on the angle at the negative, degrees."""
        super().__init__()
        self.loss = AngularLoss(alpha=alpha)

    def forward(self, embeddings: Tensor, labels: Tensor, mined: tuple[Tensor, ...] | None = None) -> Tensor:
        """Mean over the positive pairs; float [n, d], int [n] and the miner's pairs, or None for all pairs."""
        loss: Tensor = self.loss(nn.functional.normalize(embeddings, dim=1), labels, mined)
        return loss
