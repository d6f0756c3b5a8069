import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.distances import OwnDistance
from tasks.metric.episodes import (
    Episode,
    EpisodeOptions,
    correct,
    few_shot,
    nearest_classes,
    prototypes,
    sample_episodes,
)

NAMES = tuple("abcdefgh")


def clusters(spread: float, images: int = 20, labels: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Embeddings about one centre a label, float [n, 6], and their labels."""
    generator = torch.Generator().manual_seed(seed)
    tags = torch.arange(labels).repeat_interleave(images)
    centres = torch.randn(labels, 6, generator=generator)
    return centres[tags] + spread * torch.randn(len(tags), 6, generator=generator), tags


def distance(x: np.ndarray, y: np.ndarray, kind: OwnDistance) -> float:
    """By its definition, of two vectors."""
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    if kind == "snr":
        return float(np.var(x - y) / np.var(x))
    return float(np.sum((x - y) ** 2) if kind == "squared_euclidean" else 1 - x @ y)


@pytest.mark.parametrize("kind", ["squared_euclidean", "cosine", "snr"])
@pytest.mark.parametrize("shots", [1, 5])
def test_accuracy_against_a_loop(kind: OwnDistance, shots: int) -> None:
    embeddings, labels = clusters(0.9)
    options = EpisodeOptions(ways=4, shots=shots, queries=6, episodes=12, seed=3)
    accuracies = []
    for episode in sample_episodes(labels.numpy(), NAMES, options):
        hits = 0
        for way, queries in enumerate(episode.queries):
            for query in queries:
                to = []
                for support in episode.support:
                    vectors = [embeddings[image].double().numpy() for image in support]
                    mean = np.mean([vector / np.linalg.norm(vector) for vector in vectors], axis=0)
                    to.append(distance(embeddings[query].double().numpy(), mean, kind))
                hits += int(np.argmin(to)) == way
        accuracies.append(hits / 24)
    found = few_shot(embeddings, labels, NAMES, kind, options)
    mean = sum(accuracies) / 12
    error = math.sqrt(sum((value - mean) ** 2 for value in accuracies) / 11 / 12)
    assert 0.3 < mean < 0.95
    assert found.accuracy == pytest.approx(mean)
    assert found.interval == pytest.approx((mean - 1.96 * error, mean + 1.96 * error))
    assert (found.labels, found.options) == (7, options)


def test_an_episode_draws_classes_and_images_without_replacement() -> None:
    labels = torch.arange(6).repeat_interleave(12).numpy()
    options = EpisodeOptions(ways=5, shots=3, queries=4, episodes=200, seed=1)
    drawn: Counter[int] = Counter()
    for episode in sample_episodes(labels, NAMES, options):
        assert (episode.support.shape, episode.queries.shape) == ((5, 3), (5, 4))
        images = np.concatenate([episode.support, episode.queries], axis=1)
        assert len(set(images.ravel().tolist())) == 35
        assert (labels[images] == episode.labels[:, None]).all()
        assert len(set(episode.labels.tolist())) == 5
        drawn.update(images.ravel().tolist())
    # 35 of 72 images an episode: each is drawn in about 97 of 200 (standard deviation 7).
    assert len(drawn) == 72 and min(drawn.values()) > 60 and max(drawn.values()) < 135


def test_the_seed_decides_and_fewer_episodes_are_the_beginning() -> None:
    labels = torch.arange(6).repeat_interleave(12).numpy()

    def drawn(**changes: int) -> list[list[int]]:
        options = EpisodeOptions(**{"ways": 3, "queries": 4, "episodes": 5, **changes})
        return [episode.queries.ravel().tolist() for episode in sample_episodes(labels, NAMES, options)]

    assert drawn() == drawn() != drawn(seed=1)
    assert drawn(episodes=9)[:5] == drawn()


def test_labels_with_too_few_images_are_not_drawn() -> None:
    labels = np.repeat(np.arange(4), [10, 9, 10, 30])
    options = EpisodeOptions(ways=3, shots=4, queries=6, episodes=50)
    chosen = {int(label) for episode in sample_episodes(labels, NAMES, options) for label in episode.labels}
    assert chosen == {0, 2, 3}


def test_too_few_labels_are_counted_in_the_error() -> None:
    labels = torch.tensor([0] * 20 + [1] * 5 + [2] * 16)
    message = (
        r"5-way 1-shot episodes with 15 queries need 5 labels of 16 images or more; there are 2 \(a 20, c 16, b 5\): "
        "ask for fewer ways or queries"
    )
    with pytest.raises(InputError, match=message):
        sample_episodes(labels.numpy(), NAMES, EpisodeOptions())
    with pytest.raises(InputError, match="there are 2"):
        few_shot(torch.randn(41, 3), labels, NAMES, "cosine", EpisodeOptions())


@pytest.mark.parametrize(("name", "value"), [("ways", 1), ("shots", 0), ("queries", 0), ("episodes", 1), ("seed", -1)])
def test_options_that_cannot_be_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"episodes need {name} of at least {value + 1}; got {value}"):
        EpisodeOptions(**{name: value})


EPISODE = Episode(labels=np.array([4, 2]), support=np.array([[0, 1], [2, 3]]), queries=np.array([[4, 5], [6, 7]]))


def test_a_prototype_is_the_mean_of_directions() -> None:
    embeddings = torch.tensor([[3.0, 0], [0, 0.5], [-2, 0], [-7, 0]])
    assert prototypes(embeddings, EPISODE).tolist() == [[0.5, 0.5], [-1, 0]]


def test_ties_count_by_expectation_and_the_rest_as_it_is() -> None:
    support = [[1.0, 0], [1, 0], [-1, 0], [-1, 0]]
    queries = [[2.0, 1], [0, 1], [0, -3], [5, 1]]  # right, between the two, between the two, wrong
    nearest = nearest_classes(torch.tensor(support + queries), EPISODE, "cosine")
    assert nearest.tolist() == [[[True, False], [True, True]], [[True, True], [True, False]]]
    assert correct(nearest).tolist() == [[1, 0.5], [0.5, 0]]


@pytest.mark.parametrize("labels", [2, 5])
def test_by_chance_it_is_one_in_the_number_of_ways(labels: int) -> None:
    embeddings = torch.randn(40 * labels, 16, generator=torch.Generator().manual_seed(0))
    tags = torch.arange(labels).repeat(40)
    found = few_shot(embeddings, tags, NAMES, "cosine", EpisodeOptions(ways=labels, episodes=300))
    assert found.accuracy == pytest.approx(1 / labels, abs=0.03)


def test_labels_far_apart_are_told_without_an_error() -> None:
    embeddings, labels = clusters(0.001)
    found = few_shot(embeddings, labels, NAMES, "squared_euclidean", EpisodeOptions(queries=10, episodes=20))
    assert (found.accuracy, found.interval) == (1.0, (1.0, 1.0))
