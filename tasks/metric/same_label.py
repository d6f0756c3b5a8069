"""How far apart two photos of one label are at a node: against that, a part that tells the labels apart stands out.

Among all validation pairs, half of which are of two labels, a pair of two labels is nowhere unusual: at the part that
decides the label it lies anywhere above the middle, and parts that know nothing of the label lie anywhere at all. Among
pairs of one label it is beyond nearly all at the first kind, and still anywhere at the second (our reading).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.metric.distances import bounded_snr_distance
from tasks.metric.evaluation import IMAGES_FOR_QUANTILES, QUANTILES


def same_label_quantiles(embeddings: Tensor, labels: Tensor) -> NDArray[np.float32]:
    """Quantiles of the bounded SNR distance over the pairs of one label among a node's validation images.

    Args:
        embeddings: float [n, d]; of more than 2,000 evenly spaced ones are taken.
        labels: int [n].

    Returns:
        float32 [1001], ascending; empty if no two images are of one label.
    """
    chosen = torch.linspace(0, max(0, len(labels) - 1), min(len(labels), IMAGES_FOR_QUANTILES)).long()
    embeddings, labels = embeddings[chosen], labels[chosen]
    same = (labels[:, None] == labels[None, :]).triu(diagonal=1)
    if not same.any():
        return np.empty(0, dtype=np.float32)
    distances = bounded_snr_distance(embeddings, embeddings)[same].numpy()
    quantiles: NDArray[np.float32] = np.quantile(distances, np.linspace(0, 1, QUANTILES)).astype(np.float32)
    return quantiles
