"""Average drop and increase: what the similarity does when the query is multiplied by its map.

After Chattopadhay et al., Grad-CAM++ (WACV 2018), with the cosine to a fixed support in the place of a class score (our
reading).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tasks.explanation.sfam import to_unit_range
from tasks.judging.similarity import embed_pictures
from tasks.metric.model import EmbeddingModel, normalise


class MaskedSimilarity(NamedTuple):
    """What happened to each pair.

    Attributes:
        drop: float32 [n], `max(0, s - s') / s` of the similarity s before and s' after, in [0, 2]; NaN where s <= 0.
        increase: float32 [n], 1 where s' > s, else 0.
    """

    drop: Tensor
    increase: Tensor


def masked_similarity(model: EmbeddingModel, query: Tensor, support: Tensor, maps: Tensor) -> MaskedSimilarity:
    """Multiply the normalised query by its map, scaled to [0, 1]: where the map is 0, the mean colour stands.

    Args:
        model: in evaluation mode.
        query: uint8 [n, 3, h, w].
        support: uint8 [n, 3, h, w].
        maps: float [n, h, w], finite, of the queries.
    """
    pictures = normalise(query)
    embedded = (embed_pictures(model, part) for part in (pictures, pictures * to_unit_range(maps)[:, None]))
    target = embed_pictures(model, normalise(support))
    before, after = (nn.functional.cosine_similarity(part, target) for part in embedded)
    drop = (before - after).clamp(min=0) / before
    return MaskedSimilarity(drop=torch.where(before > 0, drop, torch.nan), increase=(after > before).float())
