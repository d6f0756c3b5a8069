import pytest
import torch

from tasks.judging.attribution import PairBatch

PICTURES = torch.zeros(2, 3, 8, 6, dtype=torch.uint8)
LABEL_MAPS = torch.zeros(2, 8, 6, dtype=torch.uint8)


def test_pairs_of_fitting_shapes_are_taken() -> None:
    assert PairBatch(query=PICTURES, support=PICTURES, label_maps=LABEL_MAPS).seed == 0


@pytest.mark.parametrize(
    ("query", "support", "label_maps"),
    [
        (PICTURES[:1], PICTURES, LABEL_MAPS),
        (PICTURES, PICTURES[:1], LABEL_MAPS),
        (PICTURES[:, :1], PICTURES[:, :1], LABEL_MAPS),
        (PICTURES, PICTURES, LABEL_MAPS.mT),
        (PICTURES, PICTURES, LABEL_MAPS[:, None]),
        (PICTURES[:0], PICTURES[:0], LABEL_MAPS[:0]),
    ],
)
def test_other_shapes_are_named(query: torch.Tensor, support: torch.Tensor, label_maps: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=rf"\[n,3,h,w\] and label maps \[n,h,w\], n > 0; got \[\[{len(query)}, "):
        PairBatch(query=query, support=support, label_maps=label_maps)


def test_other_types_are_named() -> None:
    with pytest.raises(ValueError, match=r"uint8 pictures and label maps; got .*float32"):
        PairBatch(query=PICTURES.float(), support=PICTURES, label_maps=LABEL_MAPS)
