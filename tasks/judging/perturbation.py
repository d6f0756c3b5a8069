"""Attributions by hiding parts of the query and looking at the cosine, through the package captum.

What is hidden takes ImageNet's mean colour, 0 after normalising. In a picture composed with another fill, this changes
pixels outside its segments too.
"""

from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from tasks.judging.attribution import PairBatch
from tasks.judging.layer_head import embeddings_of, normalised
from tasks.metric.model import EmbeddingModel

WINDOW_SHARE = 4  # the window's edge is a quarter of the picture's; it moves by half of that
PICTURES_AT_ONCE = 256  # through the model


def occlusion(model: EmbeddingModel, pairs: PairBatch, _layer: str) -> Tensor:
    """How far the cosine drops when a window hides a pixel, averaged over the windows that do (Zeiler and Fergus 2014).

    Args and returns: as `Attribution.attribute`.
    """
    window = [max(1, edge // WINDOW_SHARE) for edge in pairs.query.shape[2:]]
    occluded = _captum().Occlusion(_cosine(model))
    drops: Tensor = occluded.attribute(
        normalised(model, pairs.query),
        sliding_window_shapes=(3, *window),
        strides=(3, *(max(1, edge // 2) for edge in window)),
        baselines=0.0,
        additional_forward_args=(embeddings_of(model, pairs.support),),
        perturbations_per_eval=max(1, PICTURES_AT_ONCE // len(pairs.query)),
    )
    return drops[:, 0].float().cpu()  # the same in each colour, because a window hides all three


def segment_ablation(model: EmbeddingModel, pairs: PairBatch, _layer: str) -> Tensor:
    """How far the cosine drops when a pixel's whole segment is hidden. It is given the masks.

    Args and returns: as `Attribution.attribute`; one value a segment.
    """
    pictures = normalised(model, pairs.query)
    groups = torch.unique(pairs.label_maps.to(pictures.device), return_inverse=True)[1]
    ablation = _captum().FeatureAblation(_cosine(model))
    drops: Tensor = ablation.attribute(
        pictures,
        feature_mask=groups[:, None].expand_as(pictures),
        baselines=0.0,
        additional_forward_args=(embeddings_of(model, pairs.support),),
        perturbations_per_eval=max(1, PICTURES_AT_ONCE // len(pairs.query)),
    )
    return drops[:, 0].float().cpu()


def _cosine(model: EmbeddingModel) -> Callable[[Tensor, Tensor], Tensor]:
    """Normalised pictures, [n, 3, h, w], and fixed embeddings, [n, d], to their cosines, [n]."""
    return lambda pictures, support: functional.cosine_similarity(model(pictures), support)


def _captum() -> ModuleType:
    import captum.attr  # noqa: PLC0415 (the rest of the room does without it)

    return captum.attr  # type: ignore[no-any-return]
