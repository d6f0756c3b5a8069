import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from tasks.metric.knn import balanced_knn_accuracy


@pytest.mark.parametrize(("labels", "k"), [(2, 1), (2, 5), (3, 1)])
def test_it_is_scikit_learn_s_leaving_each_image_out(labels: int, k: int) -> None:
    generator = np.random.default_rng(labels + k)
    y = np.array([0] * 30 + [1] * 12 + [2] * (9 if labels > 2 else 0))
    x = generator.normal(size=(len(y), 3)) + y[:, None]
    predicted = []
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        predicted.append(KNeighborsClassifier(k).fit(x[others], y[others]).predict(x[i : i + 1])[0])
    distances = torch.cdist(torch.from_numpy(x), torch.from_numpy(x))
    got = balanced_knn_accuracy(distances, torch.from_numpy(y), k)
    assert got == pytest.approx(balanced_accuracy_score(y, predicted))


def test_votes_that_tie_count_by_expectation() -> None:
    # Both neighbours of each image: one of each label.
    distances = torch.tensor([[0.0, 1, 2, 9], [1, 0, 9, 2], [2, 9, 0, 1], [9, 2, 1, 0]])
    assert balanced_knn_accuracy(distances, torch.tensor([0, 0, 1, 1]), k=2) == 0.5


def test_there_is_none_with_too_few_images() -> None:
    assert balanced_knn_accuracy(torch.zeros(8, 8), torch.arange(8) % 2) is None
