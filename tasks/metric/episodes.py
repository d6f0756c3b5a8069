"""Few-shot classification by episodes: N classes, K support images each, and queries to tell apart.

A query is given the class whose prototype is nearest (Snell, Swersky, Zemel, "Prototypical Networks for Few-shot
Learning", 2017). A prototype is the mean of its L2-normalised support embeddings, and nearness is by the node's own
distance (our reading; there it is the squared Euclidean distance of embeddings as they are).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.distances import OWN_DISTANCES, OwnDistance

NORMAL_95 = 1.96  # half of a 95 % interval of the normal distribution, in standard errors


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions:
    """What episodes are drawn.

    Attributes:
        ways: classes of an episode.
        shots: support images of a class.
        queries: queries of a class.
        episodes: how many are drawn.
        seed: of the drawing.

    Raises:
        InputError: fewer than two ways or episodes, or fewer than one shot or query.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15
    episodes: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"ways": 2, "shots": 1, "queries": 1, "episodes": 2, "seed": 0}.items():
            if getattr(self, name) < least:
                raise InputError(f"episodes need {name} of at least {least}; got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """One task.

    Attributes:
        labels: int64 [ways], its classes.
        support: int64 [ways, shots], positions of the support images.
        queries: int64 [ways, queries], positions of the queries; none is a support image.
    """

    labels: NDArray[np.int64]
    support: NDArray[np.int64]
    queries: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """What few-shot classification reaches.

    Attributes:
        accuracy: mean over the episodes of the share of queries given their class, in [0, 1]; by chance 1 / ways.
        interval: its 95 % interval, 1.96 standard errors over episodes. It tells how far other episodes of the same
            images would differ, not other images or classes.
        options: of the episodes.
        labels: classes that episodes could draw from.
    """

    accuracy: float
    interval: tuple[float, float]
    options: EpisodeOptions
    labels: int


def few_shot(
    embeddings: Tensor, labels: Tensor, label_names: Sequence[str], own_distance: OwnDistance, options: EpisodeOptions
) -> FewShot:
    """Accuracy over episodes.

    Args:
        embeddings: float [n, d].
        labels: int64 [n].
        label_names: of the numbers, for the message.
        own_distance: of the node's loss.
        options: of the episodes.

    Raises:
        InputError: fewer labels than ways have images enough.
    """
    accuracies = np.array(
        [
            correct(nearest_classes(embeddings, episode, own_distance)).mean().item()
            for episode in sample_episodes(labels.numpy(), label_names, options)
        ]
    )
    mean, error = float(accuracies.mean()), float(accuracies.std(ddof=1)) / math.sqrt(len(accuracies))
    return FewShot(
        accuracy=mean,
        interval=(max(0.0, mean - NORMAL_95 * error), min(1.0, mean + NORMAL_95 * error)),
        options=options,
        labels=len(_eligible(labels.numpy(), options)),
    )


def sample_episodes(
    labels: NDArray[np.int64], label_names: Sequence[str], options: EpisodeOptions
) -> Iterator[Episode]:
    """Draw episodes: classes, then support images and queries of each, all without replacement.

    Args:
        labels: int64 [n]; a label with fewer images than shots and queries together is not drawn.
        label_names: of the numbers, for the message.
        options: of the episodes; one seed, one sequence, and fewer episodes are its beginning.

    Raises:
        InputError: fewer labels than ways have images enough.
    """
    eligible, images = _eligible(labels, options), options.shots + options.queries
    if len(eligible) < options.ways:
        found = ", ".join(f"{label_names[label]} {count}" for label, count in Counter(labels.tolist()).most_common())
        raise InputError(
            f"{options.ways}-way {options.shots}-shot episodes with {options.queries} queries need {options.ways} "
            f"labels of {images} images or more; there are {len(eligible)} ({found}): ask for fewer ways or queries, "
            "or for retrieval alone (--episodes 0)"
        )
    return _draw(labels, eligible, options)


def _draw(labels: NDArray[np.int64], eligible: list[int], options: EpisodeOptions) -> Iterator[Episode]:
    generator = np.random.default_rng(options.seed)
    members = {label: np.flatnonzero(labels == label) for label in eligible}
    images = options.shots + options.queries
    for _ in range(options.episodes):
        chosen = generator.choice(eligible, options.ways, replace=False)
        drawn = np.stack([generator.choice(members[label], images, replace=False) for label in chosen.tolist()])
        yield Episode(labels=chosen, support=drawn[:, : options.shots], queries=drawn[:, options.shots :])


def prototypes(embeddings: Tensor, episode: Episode) -> Tensor:
    """Mean of each class's L2-normalised support embeddings.

    Args:
        embeddings: float [n, d].
        episode: says which are support.

    Returns:
        float64 [ways, d].
    """
    support = embeddings[torch.from_numpy(episode.support)].double()
    return torch.nn.functional.normalize(support, dim=2).mean(dim=1)


def nearest_classes(embeddings: Tensor, episode: Episode, own_distance: OwnDistance) -> Tensor:
    """Which classes a query may be given: those whose prototypes are nearest.

    Args:
        embeddings: float [n, d].
        episode: says which are support and queries.
        own_distance: of the node's loss; the query is the signal where it is not symmetric.

    Returns:
        bool [ways, queries, ways]: true class, query, class; more than one where distances tie.
    """
    queries = embeddings[torch.from_numpy(episode.queries)].flatten(0, 1).double()
    distances = OWN_DISTANCES[own_distance](queries, prototypes(embeddings, episode))
    nearest = distances == distances.amin(dim=1, keepdim=True)
    return nearest.reshape(*episode.queries.shape, len(episode.labels))


def correct(nearest: Tensor) -> Tensor:
    """Whether each query is given its class; where classes tie, how surely if one is drawn.

    Args:
        nearest: bool [ways, queries, ways], of `nearest_classes`.

    Returns:
        float64 [ways, queries] in [0, 1].
    """
    own = nearest.diagonal(dim1=0, dim2=2).T
    return own.double() / nearest.sum(dim=2)


def _eligible(labels: NDArray[np.int64], options: EpisodeOptions) -> list[int]:
    counts = Counter(labels.tolist())
    return sorted(label for label, count in counts.items() if count >= options.shots + options.queries)
