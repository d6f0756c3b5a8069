"""A node's local model: trunk, global average pooling, embedder (HEML's local model)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tasks.metric.input_scale import IMAGENET_MEAN, IMAGENET_STD
from tasks.metric.seeding import seeded
from tasks.metric.trunks import build_trunk
from tasks.mixed_precision import mixed_precision


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a local model is built from; the same spec gives the same initial weights.

    Attributes:
        trunk: name of the trunk (`trunks.trunk_names`).
        weights: "none", "DEFAULT" or a file (`trunks.build_trunk`).
        embedding: dimensions of the embedding.
        seed: of the random initial weights.
    """

    trunk: str = "resnet18"
    weights: str = "none"
    embedding: int = 64
    seed: int = 0


class EmbeddingModel(nn.Module):
    """Pictures to embeddings: trunk, pooling, and an MLP with one hidden layer as the embedder."""

    def __init__(self, trunk: nn.Sequential, channels: int, embedding: int) -> None:
        super().__init__()
        self.trunk = trunk
        # Pooled features of an untrained trunk point nearly the same way for all pictures (cosine above 0.99), and a
        # margin loss then pulls them into one point before it has told them apart. BatchNorm spreads them.
        self.embedder = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Linear(channels, embedding),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised pictures, float [n, 3, h, w], to embeddings, float32 [n, d], not L2-normalised."""
        return self.embed_features(self.trunk(pictures))

    def embed_features(self, feature_maps: Tensor) -> Tensor:
        """The last feature maps, [n, c, h, w], to embeddings, float32 [n, d].

        Pooling and embedder run in float32 also under autocast: embeddings in bfloat16 would tie where they differ.
        """
        with torch.autocast(feature_maps.device.type, enabled=False):
            return self.embedder(feature_maps.float().mean(dim=(2, 3)))  # type: ignore[no-any-return]


def build_model(spec: ModelSpec) -> EmbeddingModel:
    """Build a model in evaluation mode, channels_last. torch's global random state is left as it was.

    Raises:
        InputError: unknown trunk, or weights that cannot be had.
    """
    with seeded(spec.seed):
        trunk = build_trunk(spec.trunk, spec.weights).eval()
        with torch.no_grad():
            channels = trunk(torch.zeros(1, 3, 128, 128)).shape[1]
        model = EmbeddingModel(trunk, channels, spec.embedding)
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_model(spec: ModelSpec, state: Mapping[str, Tensor]) -> EmbeddingModel:
    """Build a model of the spec's architecture with the given weights; the spec's own are not fetched."""
    model = build_model(replace(spec, weights="none"))
    model.load_state_dict(state)
    return model


def normalise(images: Tensor) -> Tensor:
    """Less ImageNet's mean, by its standard deviation, channels_last: [n, 3, h, w] -> float32 [n, 3, h, w].

    Args:
        images: uint8 or floating, in 0..255.
    """
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(IMAGENET_STD, device=images.device).view(1, 3, 1, 1) * 255
    return ((images.float() - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def embed(model: EmbeddingModel, batches: Sequence[Tensor] | Iterator[Tensor], device: str) -> Tensor:
    """Embed composed pictures.

    Args:
        model: on the device; its mode is restored afterwards.
        batches: uint8 [b, 3, h, w] each.
        device: "cpu" or "cuda".

    Returns:
        float32 [n, d] on the CPU, not L2-normalised.
    """
    training = model.training
    model.eval()
    with mixed_precision(device):
        embeddings = [model(normalise(batch.to(device))).cpu() for batch in batches]
    model.train(training)
    return torch.cat(embeddings)
