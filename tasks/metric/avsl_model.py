"""AVSL's model: embeddings, activation maps and certainties of three levels of a trunk.

AVSL: B. Zhang, W. Zheng, J. Zhou, J. Lu, *Attributable Visual Similarity Learning* (CVPR 2022, arXiv 2203.14932).
A *level* is one of the trunk's last three resolutions; each dimension of a level's embedding is a node of AVSL's graph.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.errors import InputError
from tasks.metric.avsl_similarity import Similarity
from tasks.metric.model import ModelSpec
from tasks.metric.seeding import seeded
from tasks.metric.trunks import OURS, RESNET_LEVELS, build_trunk, trunk_names

# torchvision's ResNet class.
RESNETS = ("resnet", "resnext", "wide_resnet")


def avsl_trunks() -> tuple[str, ...]:
    """Names of the trunks that have AVSL's three levels."""
    return tuple(name for name in trunk_names() if name in OURS or name.startswith(RESNETS))


def trunk_levels(name: str) -> tuple[str, ...]:
    """The stages of a trunk that AVSL compares, those that end its last three resolutions, finest first.

    Raises:
        InputError: it names the trunks that have such stages.
    """
    if name not in avsl_trunks():
        raise InputError(f"AVSL needs a trunk in stages; got trunk {name!r}: one of {', '.join(avsl_trunks())}")
    return OURS[name].levels if name in OURS else RESNET_LEVELS


class LevelEmbedder(nn.Module):
    """Feature maps of one level to its embedding and activation maps: one linear projection serves both."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, embedding, 1)
        nn.init.kaiming_normal_(self.project.weight, mode="fan_out")  # as published
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """`e = Conv1x1(GAP(F) + GMP(F))`, L2-normalised: float32 [n, c, h, w] -> [n, d]."""
        flat = features.flatten(2)
        pooled = flat.mean(dim=2) + flat.max(dim=2).values
        return functional.normalize(self.project(pooled[:, :, None, None]).flatten(1), dim=1)

    @torch.no_grad()
    def activation_maps(self, features: Tensor) -> Tensor:
        """`CAM = Conv1x1(F + HW onehot_max(F))`, without a gradient: float32 [n, c, h, w] -> [n, d, h, w].

        `onehot_max(F)` keeps each channel's highest value at its place (the first of equal ones) and is 0 elsewhere, so
        that the spatial mean of a map is the embedding before it is normalised.
        """
        flat = features.flatten(2)
        highest, place = flat.max(dim=2, keepdim=True)
        spread = flat.scatter_add(2, place, flat.shape[2] * highest)
        return self.project(spread.reshape(features.shape))  # type: ignore[no-any-return]


def certainties(maps: Tensor) -> Tensor:
    """Standard deviation over the positions of each L1-normalised `CAM - min CAM`: a peak is certain, a plain is not.

    Of the population, so that a map of one position has certainty 0 (our reading; published: of a sample).

    Args:
        maps: float [n, d, h, w].

    Returns:
        [n, d] in [0, 0.5]; 0 for a constant map.
    """
    flat = maps.flatten(2)
    shares = functional.normalize(flat - flat.amin(dim=2, keepdim=True), p=1, dim=2)
    return shares.std(dim=2, correction=0)


class AVSLModel(nn.Module):
    """Trunk, an embedder a level, AVSL's similarity, and a proxy for each label and level.

    There are no proxies of the final distance's own: it compares with those of all levels, as published, and as
    differences are detached inside it, others could not learn.
    """

    def __init__(
        self, trunk: nn.Sequential, levels: tuple[str, ...], channels: list[int], embedding: int, labels: int
    ) -> None:
        super().__init__()
        self.trunk, self.levels = trunk, levels
        self.embedders = nn.ModuleList(LevelEmbedder(count, embedding) for count in channels)
        self.similarity = Similarity(len(channels), embedding)
        self.proxies = nn.Parameter(torch.empty(labels, len(channels), embedding))
        nn.init.normal_(self.proxies, std=(3 * embedding) ** -0.5)  # as published: Kaiming's with a = sqrt(5)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Embed pictures at each of the l levels. All but the trunk is in float32, also under autocast.

        Args:
            pictures: normalised, float [n, 3, h, w].

        Returns:
            Embeddings, float32 [n, l, d], L2-normalised; certainties, float32 [n, l, d]; activation maps, a level
            float32 [n, d, h', w']. Only the embeddings carry a gradient.
        """
        features = level_features(self.trunk, self.levels, pictures)
        with torch.autocast(pictures.device.type, enabled=False):
            embeddings, maps = [], []
            for embedder, level in zip(self.embedders, features, strict=True):
                assert isinstance(embedder, LevelEmbedder)
                embeddings.append(embedder(level.float()))
                maps.append(embedder.activation_maps(level.detach().float()))
            return torch.stack(embeddings, dim=1), torch.stack([certainties(own) for own in maps], dim=1), maps

    def to_proxies(self, embeddings: Tensor, certainties: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Distances from embeddings to the proxies.

        A proxy has no picture and so no activation map: its certainty at a level is the batch's mean there, as in the
        published code (the paper does not say).

        Args:
            embeddings: float32 [n, l, d].
            certainties: float32 [n, l, d].

        Returns:
            Final, [n, labels], and each level's, l times [n, labels].
        """
        proxies = functional.normalize(self.proxies, dim=2)
        certain = certainties.mean(dim=(0, 2))[None, :, None].expand_as(proxies)
        return self.similarity(embeddings, certainties, proxies, certain)  # type: ignore[no-any-return]


def level_features(trunk: nn.Sequential, levels: tuple[str, ...], pictures: Tensor) -> list[Tensor]:
    """Feature maps after each of these stages, finest first: [n, 3, h, w] -> l times [n, c', h', w']."""
    features = []
    for name, stage in trunk.named_children():
        pictures = stage(pictures)
        if name in levels:
            features.append(pictures)
    return features


def build_avsl(spec: ModelSpec, labels: int) -> AVSLModel:
    """Build a model in evaluation mode, channels_last. Its trunk starts as a node's of the same spec does.

    Args:
        spec: trunk, its weights, dimensions of each level's embedding, seed.
        labels: number of labels.

    Raises:
        InputError: a trunk without the three levels, or weights that cannot be had.
    """
    levels = trunk_levels(spec.trunk)
    with seeded(spec.seed):
        trunk = build_trunk(spec.trunk, spec.weights).eval()
        with torch.no_grad():
            channels = [maps.shape[1] for maps in level_features(trunk, levels, torch.zeros(1, 3, 128, 128))]
        model = AVSLModel(trunk, levels, channels, spec.embedding, labels)
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
