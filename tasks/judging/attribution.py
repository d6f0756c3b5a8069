"""What a method that explains the similarity of two pictures has to be, so that all can be run on the same pairs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.metric.model import EmbeddingModel


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Pairs of pictures to explain.

    Attributes:
        query: uint8 [n, 3, h, w], composed pictures; those that are explained.
        support: uint8 [n, 3, h, w], composed pictures.
        label_maps: uint8 [n, h, w], of the queries: segment ids, for methods that are given the masks.
        seed: of what is random.
        centre: float [d], the mean embedding of the node's photos, for methods that take it off; None where unknown.

    Raises:
        ValueError: a shape or a type is another.
    """

    query: Tensor
    support: Tensor
    label_maps: Tensor
    seed: int = 0
    centre: Tensor | None = None

    def __post_init__(self) -> None:
        shapes = [list(part.shape) for part in (self.query, self.support, self.label_maps)]
        picture = [*shapes[2][:1], 3, *shapes[2][1:]]
        if len(shapes[2]) != 3 or 0 in shapes[2] or shapes[:2] != [picture, picture]:
            raise ValueError(f"pairs need query and support [n,3,h,w] and label maps [n,h,w], n > 0; got {shapes}")
        types = [part.dtype for part in (self.query, self.support, self.label_maps)]
        if types != [torch.uint8] * 3:
            raise ValueError(f"pairs need uint8 pictures and label maps; got {types}")


def first(pairs: PairBatch, count: int, start: int = 0) -> PairBatch:
    """So many pairs from one on, with a seed of their own."""
    chosen = slice(start, start + count)
    return PairBatch(
        query=pairs.query[chosen],
        support=pairs.support[chosen],
        label_maps=pairs.label_maps[chosen],
        seed=pairs.seed + start,
        centre=pairs.centre,
    )


@dataclass(frozen=True, kw_only=True)
class Method:
    """What is said of a method that makes maps.

    Attributes:
        name: such as "grad-cam-cosine".
        title: such as "Grad-CAM (cosine)".
        given_masks: whether it sees the label maps.
        gradient: whether it is a CAM of Grad-CAM's family: channel weights from the gradient of a score.
        floor: whether it is a floor, which knows nothing of the pair: what a map must beat.
    """

    name: str
    title: str
    given_masks: bool
    gradient: bool
    floor: bool


@dataclass(frozen=True, kw_only=True)
class Attribution(Method):
    """A method that says which pixels of the query make its embedding similar to the support's.

    Attributes:
        attribute: model in evaluation mode, pairs, name of the stage to explain (`flattened_stages`) to float32
            [n, h, w] on the CPU at the pictures' size: finite, of any scale, larger where a pixel is more responsible
            for the cosine of the embeddings with the support's held fixed. A pair's map does not depend on the other
            pairs. The model is left as it was. ValueError if there is no such stage.
    """

    attribute: Callable[[EmbeddingModel, PairBatch, str], Tensor]
