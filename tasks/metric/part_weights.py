"""How much each leaf counts in the composed decision, learned on images held out of training (our reading).

Neighbourhood components analysis (Goldberger et al., 2004) with one non-negative factor a leaf: each image picks a
neighbour with a probability that falls with the composed distance, and the factors are those that make neighbours of
its own label most likely. A leaf that says nothing about the label loses its weight, and one that repeats what another
says shares it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.metric.composed import PartEmbeddings, composed_distance

STEPS = 200
STEP_SIZE = 0.1
# Pull of each log weight to the others' mean, for the sake of small held-out sets.
PULL = 0.01


def learn_part_weights(leaves: Mapping[str, PartEmbeddings], images: Tensor, labels: Tensor) -> dict[str, float]:
    """Learn the leaves' weights.

    Args:
        leaves: leaf name to its embeddings of held-out training images.
        images: int64 [n], the held-out images.
        labels: int64 [n], of these.

    Returns:
        Leaf name to its weight, in [0, 1]; together 1. Equal ones where no label has two images.
    """
    equal = dict.fromkeys(leaves, 1 / max(1, len(leaves)))
    same = labels[:, None] == labels[None]
    same.fill_diagonal_(False)
    paired = same.any(dim=1)
    if len(leaves) < 2 or not paired.any():
        return equal
    vectors = [leaf.of(images) for leaf in leaves.values()]
    distances = torch.stack([composed_distance(vector, vector) for vector in vectors]).float()
    itself = torch.eye(len(images), dtype=torch.bool)
    logs = torch.zeros(len(leaves), requires_grad=True)
    optimiser = torch.optim.Adam([logs], lr=STEP_SIZE)
    for _ in range(STEPS):
        likely = (-(logs.exp()[:, None, None] * distances).sum(dim=0)).masked_fill(itself, -torch.inf).log_softmax(1)
        right = likely.masked_fill(~same, -torch.inf)[paired].logsumexp(dim=1)
        loss = -right.mean() + PULL * (logs - logs.mean()).square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    weights = torch.softmax(logs.detach().double(), dim=0)
    return dict(zip(leaves, weights.tolist(), strict=True))
