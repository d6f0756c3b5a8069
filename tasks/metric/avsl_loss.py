"""The proxy anchor loss on distances, as AVSL uses it (Kim et al., CVPR 2020; Zhang et al., arXiv 2203.14932)."""

import torch
from torch import Tensor

NEAR, FAR = 1.8, 2.2  # own label's proxy to come nearer than, others' to go farther than; squared distances, published
SCALE = 16.0  # as published


def proxy_anchor_loss(distances: Tensor, labels: Tensor) -> Tensor:
    """Pull images towards their label's proxy and push them from the others, the hardest most.

    For a proxy p: `log(1 + sum exp(16 (d - 1.8)))` over the images of its label, averaged over the proxies whose label
    is in the batch, plus `log(1 + sum exp(-16 (d - 2.2)))` over all other images, averaged over all proxies.

    Args:
        distances: float [n, labels], from image to proxy.
        labels: int64 [n], columns of `distances`.

    Returns:
        A scalar, at least 0.
    """
    own = labels[:, None] == torch.arange(distances.shape[1], device=labels.device)
    pulled = _log_one_plus_sum_of_exponentials(SCALE * (distances - NEAR), own)
    pushed = _log_one_plus_sum_of_exponentials(-SCALE * (distances - FAR), ~own)
    return pulled.sum() / own.any(dim=0).sum() + pushed.mean()  # a proxy without images adds log 1 = 0 to the sum


def _log_one_plus_sum_of_exponentials(values: Tensor, counted: Tensor) -> Tensor:
    """Over the rows that count: [n, p] and bool [n, p] -> [p]."""
    one = values.new_zeros(1, values.shape[1])  # e^0
    return torch.cat([one, values.masked_fill(~counted, -torch.inf)]).logsumexp(dim=0)
