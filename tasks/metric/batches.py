"""Which images form a batch: an equal share of each class, and which are held out of training to choose by."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

HELD_OUT_SHARE = 0.1


def balanced_batches(
    labels: NDArray[np.int64], batch: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """One epoch of batches with an equal share of each class.

    Each class is gone through in random order, again and again, so that a small class is repeated and no image of a
    large one comes twice before all came once. With more classes than `batch / 2`, each batch draws `batch / 2` of
    them, so that every image has a positive.

    Args:
        labels: int64 [n].
        batch: images a batch; rounded down to a multiple of the classes in it.
        generator: the source of randomness.

    Yields:
        `max(1, n // batch)` times indices into `labels`, int64 [about batch].
    """
    classes = np.unique(labels)
    members = {label: np.flatnonzero(labels == label) for label in classes.tolist()}
    classes_a_batch = min(len(classes), batch // 2)
    share = batch // classes_a_batch
    queues = {label: _endless(own, generator) for label, own in members.items()}
    for _ in range(max(1, len(labels) // batch)):
        chosen = generator.permutation(classes)[:classes_a_batch].tolist()
        yield np.array([next(queues[label]) for label in chosen for _ in range(share)], dtype=np.int64)


def held_out(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """A tenth of the training images, stratified by label: epochs are chosen on it (our reading).

    Args:
        labels: int64 [n], of the whole training split.
        seed: of the choice.

    Returns:
        bool [n], True where held out.
    """
    generator = np.random.default_rng(seed)
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        own = generator.permutation(np.flatnonzero(labels == label))
        mask[own[: round(len(own) * HELD_OUT_SHARE)]] = True
    return mask


def _endless(indices: NDArray[np.int64], generator: np.random.Generator) -> Iterator[int]:
    while True:
        yield from generator.permutation(indices).tolist()
