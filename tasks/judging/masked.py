"""Average drop and increase: what the similarity does when the query is multiplied by its map.

After Chattopadhay et al., Grad-CAM++ (WACV 2018), with the similarity to a fixed support in place of a class score
(our reading).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tasks.explanation.sfam import to_unit_range
from tasks.judging.similarity import Scorer
from tasks.metric.model import normalise


class MaskedSimilarity(NamedTuple):
    """What happened to each pair.

    Attributes:
        drop: float32 [n], `max(0, s - s') / s` of the similarity s before and s' after, in [0, 2]; NaN where s <= 0.
        increase: float32 [n], 1 where s' > s, else 0.
    """

    drop: Tensor
    increase: Tensor


def masked_similarity(scores: Scorer, query: Tensor, maps: Tensor) -> MaskedSimilarity:
    """Multiply the normalised query by its map, scaled to [0, 1]: where the map is 0, the mean colour stands.

    Args:
        scores: of the similarity to each query's support; the first of several is taken.
        query: uint8 [n, 3, h, w].
        maps: float [n, h, w], finite, of the queries.
    """
    pictures = normalise(query)
    before, after = (scores(part)[:, 0] for part in (pictures, pictures * to_unit_range(maps)[:, None]))
    drop = (before - after).clamp(min=0) / before
    return MaskedSimilarity(drop=torch.where(before > 0, drop, torch.nan), increase=(after > before).float())
