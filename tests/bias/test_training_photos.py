"""Held-out photos are cut in two, each label for itself."""

import numpy as np
import pytest

from tasks.bias.training_photos import TrainingPhotos, held_out_halves


@pytest.mark.parametrize("seed", range(3))
def test_each_label_is_shared_out_evenly_and_the_odd_one_goes_to_the_first(seed: int) -> None:
    held_out = {0: 1, 1: 4, 2: 5, 3: 0}  # of each label, beside three that are trained on
    labels = np.repeat(list(held_out), [count + 3 for count in held_out.values()])
    flags = np.concatenate([np.arange(count + 3) < count for count in held_out.values()])
    names = tuple(map(str, range(len(labels))))
    photos = TrainingPhotos(image_ids=names, labels=labels, groups=(None,) * len(names), held_out=flags)
    first, second = held_out_halves(photos, seed)
    assert sorted([*first, *second]) == np.flatnonzero(flags).tolist()
    assert np.bincount(labels[first], minlength=4).tolist() == [1, 2, 3, 0]
    assert np.bincount(labels[second], minlength=4).tolist() == [0, 2, 2, 0]
