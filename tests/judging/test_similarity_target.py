import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.judging.similarity_target import CosineTarget, DotProductTarget

GENERATOR = np.random.default_rng(0)
EMBEDDINGS, SUPPORT = GENERATOR.normal(size=(3, 5)), GENERATOR.normal(size=5)


def test_one_embedding_or_many() -> None:
    norms = np.sqrt((EMBEDDINGS**2).sum(axis=1) * (SUPPORT**2).sum())
    expected = [sum(a * b for a, b in zip(row, SUPPORT, strict=True)) for row in EMBEDDINGS]
    support = torch.from_numpy(SUPPORT)
    for target, values in (
        (CosineTarget(support), expected / norms),
        (CosineTarget(support, plus=1.0), expected / norms + 1),
        (DotProductTarget(support), np.array(expected)),
    ):
        np.testing.assert_allclose(target(torch.from_numpy(EMBEDDINGS)), values)
        assert target(torch.from_numpy(EMBEDDINGS[0])).item() == pytest.approx(values[0])


@pytest.mark.parametrize("zero", ["embedding", "support"])
def test_an_embedding_without_length_has_no_cosine(zero: str) -> None:
    a, b = (torch.zeros(5) if name == zero else torch.ones(5) for name in ("embedding", "support"))
    assert CosineTarget(b)(a).item() == 0


def test_the_cosine_does_not_change_along_the_embedding() -> None:
    embedding: Tensor = torch.from_numpy(EMBEDDINGS[0]).requires_grad_()
    gradient = torch.autograd.grad(CosineTarget(torch.from_numpy(SUPPORT))(embedding), embedding)[0]
    assert gradient.norm() > 0.01
    assert (gradient @ embedding.detach()).item() == pytest.approx(0, abs=1e-12)
