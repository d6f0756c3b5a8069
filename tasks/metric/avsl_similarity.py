"""AVSL's similarity of two images (arXiv 2203.14932): node differences, corrected from the fine level to the coarse.

A node whose activation map is vague in either image takes its difference from the nodes of the level before that light
up in the same places. Symbols: n and m images, l levels, d dimensions (nodes) a level.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM = 0.5  # share of the links so far in their moving average, as published
STRONGEST_LINKS = 128  # of a node, as published
SHARPNESS = 10.0  # of the sigmoid, as published
TINY = 1e-8  # a node without links takes nothing from below
NUMBERS_AT_ONCE = 2**21  # of one [rows, m, d] array while distances are computed: 8 MB


def spatial_links(lower: Tensor, upper: Tensor) -> Tensor:
    """How much nodes of two adjacent levels light up in the same places, `w[i, j]`.

    The mean over the images of the cosine, over positions, of the finer level's map i and the coarser level's map j.

    Args:
        lower: activation maps of the finer level, float [n, d, h, w]; averaged down to the coarser grid.
        upper: of the coarser level, float [n, e, h', w'].

    Returns:
        [d, e] in [-1, 1].
    """
    pooled = functional.adaptive_avg_pool2d(lower, (upper.shape[2], upper.shape[3]))
    below, above = (functional.normalize(maps.flatten(2), dim=2) for maps in (pooled, upper))
    return torch.einsum("bip,bjp->ij", below, above) / len(lower)


def selected_links(links: Tensor) -> Tensor:
    """`w*`: of `ReLU(w)` the 128 strongest of each column (all, if there are fewer), scaled to a sum of 1.

    Args:
        links: float [..., d, d], from the finer level's node (row) to the coarser's (column).

    Returns:
        [..., d, d] in [0, 1]; a column without positive links is 0.
    """
    positive = links.relu()
    strongest, rows = positive.topk(min(STRONGEST_LINKS, positive.shape[-2]), dim=-2)
    kept = torch.zeros_like(positive).scatter(-2, rows, strongest)
    return kept / (kept.sum(dim=-2, keepdim=True) + TINY)


def node_differences(a: Tensor, b: Tensor) -> Tensor:
    """`delta = |a - b|^2` of each dimension: [n, d] and [m, d] -> [n, m, d]."""
    return (a[:, None] - b[None]).square()


def reliabilities(certain_a: Tensor, certain_b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`P = sigmoid(10 (c_a c_b alpha + beta))`: how far a pair's difference at a node is to be believed.

    Args:
        certain_a: float [n, d].
        certain_b: float [m, d].
        alpha: float [d].
        beta: float [d].

    Returns:
        [n, m, d] in (0, 1).
    """
    return (SHARPNESS * (certain_a[:, None] * certain_b[None] * alpha + beta)).sigmoid()


class Similarity(nn.Module):
    """The graph between levels: links (a moving average, not learned by gradient), alpha and beta (learned)."""

    links: Tensor
    batches: Tensor

    def __init__(self, levels: int, dimensions: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(levels - 1, dimensions))
        self.beta = nn.Parameter(torch.zeros(levels - 1, dimensions))
        self.register_buffer("links", torch.zeros(levels - 1, dimensions, dimensions))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update_links(self, maps: list[Tensor]) -> None:
        """Take a training batch's links into the moving average; the first batch's are taken as they are.

        Args:
            maps: activation maps, a level float [n, d, h, w], finest first.
        """
        new = torch.stack([spatial_links(lower, upper) for lower, upper in pairwise(maps)])
        share = torch.where(self.batches > 0, MOMENTUM, 0.0)
        self.links.copy_(share * self.links + (1 - share) * new)
        self.batches += 1

    def forward(
        self, embeddings_a: Tensor, certain_a: Tensor, embeddings_b: Tensor, certain_b: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Distances of each a to each b: `D = sum dhat^l` of the last level, and `sum delta^l` of each level.

        `dhat^1 = delta^1`, `dhat^l = P^l delta^l + (1 - P^l) (dhat^(l-1) w*)`. Inside `dhat` the differences are
        detached: through D only alpha and beta learn, embeddings learn through the levels' distances.

        Args:
            embeddings_a: float [n, l, d], L2-normalised.
            certain_a: float [n, l, d].
            embeddings_b: float [m, l, d], L2-normalised.
            certain_b: float [m, l, d].

        Returns:
            D, [n, m], at least 0; each level's distance, l times [n, m] in [0, 4].
        """
        links = selected_links(self.links.to(embeddings_a.dtype))
        levels: list[Tensor] = []
        inferred = embeddings_a.new_empty(0)
        for level in range(embeddings_a.shape[1]):
            differences = node_differences(embeddings_a[:, level], embeddings_b[:, level])
            levels.append(differences.sum(dim=2))
            own = differences.detach()
            if level == 0:
                inferred = own
                continue
            believed = reliabilities(
                certain_a[:, level], certain_b[:, level], self.alpha[level - 1], self.beta[level - 1]
            )
            inferred = believed * own + (1 - believed) * (inferred @ links[level - 1])
        return inferred.sum(dim=2), levels


@torch.no_grad()
def distance_rows(
    similarity: Similarity, embeddings_a: Tensor, certain_a: Tensor, embeddings_b: Tensor, certain_b: Tensor
) -> Iterator[Tensor]:
    """The distances D of each a to each b, some rows at a time: memory for n m d numbers is never needed.

    Args:
        similarity: on the device where to compute.
        embeddings_a: float32 [n, l, d].
        certain_a: float32 [n, l, d].
        embeddings_b: float32 [m, l, d].
        certain_b: float32 [m, l, d].

    Yields:
        float32 [rows, m] on the CPU, rows in order.
    """
    device = similarity.links.device
    b, certainty_b = embeddings_b.to(device), certain_b.to(device)
    rows = max(1, NUMBERS_AT_ONCE // max(1, len(b) * b.shape[2]))
    for start in range(0, len(embeddings_a), rows):
        a, certainty_a = (part[start : start + rows].to(device) for part in (embeddings_a, certain_a))
        yield similarity(a, certainty_a, b, certainty_b)[0].float().cpu()
