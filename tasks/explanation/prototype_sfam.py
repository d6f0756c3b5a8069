"""SFAM of a picture against an embedding that no one picture need have, such as a class's prototype (our reading)."""

import torch
from torch import Tensor

from tasks.explanation.sfam import Similarity, contributions, explained_layer, features_and_embeddings
from tasks.metric.model import EmbeddingModel


def explain_to_targets(model: EmbeddingModel, pictures: Tensor, targets: Tensor, similarity: Similarity) -> Tensor:
    """SFAM of pictures, each against its target: as `explain_pairs`, with the target as the `e_s` that is held fixed.

    The cosine's scores are linear in the target over its length, so those against a mean of normalised embeddings go
    as the mean of those against each.

    Args:
        model: the node's model, in evaluation mode.
        pictures: uint8 [n, 3, h, w], composed pictures.
        targets: float [n, d].
        similarity: "cosine" or "snr".

    Returns:
        float32 [n, h', w'] at the size of `explained_layer`, >= 0.

    Raises:
        ValueError: not one target for each picture.
    """
    if len(pictures) != len(targets):
        raise ValueError(f"each picture needs one target; got {len(pictures)} pictures and {len(targets)} targets")
    with torch.inference_mode(False), torch.enable_grad():
        layer = explained_layer(model, pictures.shape[-1])
        features, embeddings = features_and_embeddings(model, pictures, layer)
        # A copy: what `embed` gives cannot take part in a gradient.
        return contributions(features, embeddings, targets.to(embeddings).clone(), similarity).maps
