"""What every attribution is: a function from pairs of pictures to maps of the queries."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from tasks.metric.model import EmbeddingModel


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """Pairs of composed pictures.

    Attributes:
        query: uint8 [n, 3, h, w].
        support: uint8 [n, 3, h, w].
        label_maps: uint8 [n, h, w], class ids of the queries, for methods that are given the masks.
        seed: of what is random.
    """

    query: Tensor
    support: Tensor
    label_maps: Tensor
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """A method that makes maps.

    Attributes:
        name: short, for files and figures.
        title: for tables.
        given_masks: whether it sees the label maps.
        gradient: whether it is a gradient-based class activation map.
        floor: whether it knows nothing of the pair: a lower bound for all others.
        attribute: model in evaluation mode, pairs and layer name to maps of the queries: float32 [n, h, w] on the CPU,
            at the pictures' size, finite, of any scale; the larger, the more responsible for the embeddings' cosine.
    """

    name: str
    title: str
    given_masks: bool
    gradient: bool
    floor: bool
    attribute: Callable[[EmbeddingModel, PairBatch, str], Tensor]
