from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import embeddings_of
from tasks.judging.perturbation import occlusion, segment_ablation
from tasks.metric.model import EmbeddingModel, normalise


def drop(model: EmbeddingModel, picture: Tensor, hidden: Tensor, support: Tensor) -> float:
    """How far the cosine drops when the pixels of bool [h, w] are of the mean colour."""
    with torch.no_grad():
        before, after = (cosine_similarity(model(one[None])[0], support, dim=0) for one in (picture, picture * ~hidden))
    return (before - after).item()


@pytest.mark.parametrize("edge", [32, 36])  # 36: the last window reaches beyond the picture
def test_occlusion_by_a_loop_over_windows(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch], edge: int
) -> None:
    pairs = make_pairs(2, edge)
    window, stride = edge // 4, edge // 4 // 2
    starts = [0]
    while starts[-1] + window < edge:
        starts.append(starts[-1] + stride)
    expected = torch.zeros(2, edge, edge)
    for i, support in enumerate(embeddings_of(model, pairs.support)):
        total, times = torch.zeros(edge, edge), torch.zeros(edge, edge)
        for top in starts:
            for left in starts:
                hidden = torch.zeros(edge, edge, dtype=torch.bool)
                hidden[top : top + window, left : left + window] = True
                total[hidden] += drop(model, normalise(pairs.query[i : i + 1])[0], hidden, support)
                times += hidden
        expected[i] = total / times
    got = occlusion(model, pairs, "layer3")
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_segment_ablation_blanks_one_segment_at_a_time(
    model: EmbeddingModel, make_pairs: Callable[..., PairBatch], layer: str
) -> None:
    pairs = make_pairs(3, 32)
    expected = torch.zeros(3, 32, 32)
    for i, support in enumerate(embeddings_of(model, pairs.support)):
        for segment in (0, 7, 250):
            hidden = pairs.label_maps[i] == segment
            assert hidden.any() or (segment == 7 and i == 1)
            expected[i][hidden] = drop(model, normalise(pairs.query[i : i + 1])[0], hidden, support)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(segment_ablation(model, pairs, layer), expected, rtol=1e-3, atol=1e-6)
