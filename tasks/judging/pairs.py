"""Which pairs of a split maps are judged on."""

import numpy as np
from numpy.typing import NDArray

from tasks.errors import InputError

IMAGES = 2000  # drawn from more: two million pairs are enough to choose from


def draw_pairs(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw different pairs of images, half of one label, half of two, in turn.

    Args:
        labels: int64 [n].
        count: how many pairs, at least 2.
        seed: of the draw.

    Returns:
        int64 [count, 2], positions; the even rows are of one label.

    Raises:
        InputError: the images do not make so many different pairs of each kind.
    """
    generator = np.random.default_rng(seed)
    images = np.sort(generator.permutation(len(labels))[:IMAGES])
    n = len(images)
    rows, columns = (images[places] for places in np.triu_indices(n, 1))
    same = labels[rows] == labels[columns]
    wanted = (count - count // 2, count // 2)
    drawn = []
    for kind, number in zip((same, ~same), wanted, strict=True):
        places = np.flatnonzero(kind)
        if len(places) < number:
            what = "one label" if kind is same else "two labels"
            raise InputError(
                f"{count} pairs were asked for, {number} of them of {what}; these {n} images make {len(places)}: "
                "ask for fewer (--pairs), or judge on more images"
            )
        chosen = generator.choice(places, number, replace=False)
        pairs = np.stack([rows[chosen], columns[chosen]], axis=1)
        drawn.append(np.where(generator.random((number, 1)) < 0.5, pairs, pairs[:, ::-1]))
    result = np.empty((count, 2), dtype=np.int64)
    result[0::2], result[1::2] = drawn
    return result
