"""The score that a CAM explains where there are no classes: similarity to a fixed embedding.

A target is called with an embedding, as the targets of the package grad-cam are called with a picture's output.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class CosineTarget:
    """Cosine to the support's embedding; 0 where one of the two is 0.

    Attributes:
        support: float [d], without a gradient.
        plus: added to the cosine. It changes no gradient and no drop of the score, but a method that divides by the
            score needs a positive one: 1 makes it so.
    """

    support: Tensor
    plus: float = 0.0

    def __call__(self, embedding: Tensor) -> Tensor:
        """float [..., d] -> [...], from -1 to 1 where nothing is added."""
        return functional.cosine_similarity(embedding, self.support, dim=-1) + self.plus


@dataclass(frozen=True)
class DotProductTarget:
    """Dot product with the support's embedding, not normalised.

    Attributes:
        support: float [d], without a gradient.
    """

    support: Tensor

    def __call__(self, embedding: Tensor) -> Tensor:
        """float [..., d] -> [...]."""
        return (embedding * self.support).sum(dim=-1)
