"""Faiss beyond 100,000 images: an inverted file (`IndexIVFFlat`), whose cells are computed once and kept.

The vectors are divided into about sqrt(n) cells by k-means, and a query looks at those in the nearest sixteenth of the
cells. Measured on one core, the 12 nearest of 120,000 vectors drawn between and about the real embeddings of 4,000
faces: at least 99.8 % of them are found for the leaves hair and skin and for both decisions of the root, a query takes
0.6 ms instead of 2 (64 dimensions) or 18 instead of 700 (1,024), and the cells 1.5 or 25 s. Of 400,000 vectors without
any order, uniform on the sphere, only 50 % are found: trained embeddings are not like that. A graph (HNSW) found 99.2 %
of the former at 400,000, and took 190 s to build instead of 3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.errors import InputError
from tasks.metric.kept_tensors import kept_tensors

CELLS_VERSION = 1
VECTORS_A_CELL_TO_LEARN = 64
ROUNDS = 10  # of k-means
SEED = 0  # of k-means and of the choice of what it learns from
SEARCHED = 1 / 16  # of the cells
VECTORS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Cells:
    """An inverted file over the vectors of an index.

    Attributes:
        inverted: a `faiss.IndexIVFFlat`; its ids are places in the index's numbers.
    """

    inverted: Any

    def propose(self, query: Tensor, candidates: int) -> Tensor:
        """Places of vectors near a query, float [d] -> int64 [at most `candidates`], ascending."""
        _, places = self.inverted.search(query.float().numpy()[None], min(candidates, self.inverted.ntotal))
        return torch.from_numpy(places[0][places[0] >= 0]).sort().values


def open_cells(folder: Path, facts: Mapping[str, Any], numbers: Tensor, vectors: Callable[[Tensor], Tensor]) -> Cells:
    """An index's cells, computed first if they are not kept.

    Args:
        folder: where they are kept.
        facts: what the vectors are made from.
        numbers: int64 [n], of the images.
        vectors: some of them, int64 [m], to float64 [m, d].

    Raises:
        InputError: Faiss is not installed, or the cells cannot be written.
    """
    try:
        import faiss  # noqa: PLC0415 (only for very many images)
    except ImportError:
        raise InputError(
            f"searching {len(numbers)} images needs Faiss, which is not installed: pip install faiss-cpu"
        ) from None
    count = round(len(numbers) ** 0.5)
    facts = {"cells": CELLS_VERSION, "faiss": faiss.__version__, "count": count, "seed": SEED, **facts}
    kept = kept_tensors(folder, facts, lambda: _divided(faiss, count, numbers, vectors))
    centres, cell_of = kept["centres"].numpy(), kept["cell_of"].numpy()
    quantiser = faiss.IndexFlatL2(centres.shape[1])
    quantiser.add(centres)
    inverted = faiss.IndexIVFFlat(quantiser, centres.shape[1], count)
    inverted.is_trained = True
    inverted.nprobe = max(1, round(count * SEARCHED))
    for start in range(0, len(numbers), VECTORS_AT_ONCE):
        block = vectors(numbers[start : start + VECTORS_AT_ONCE]).float().numpy()
        places = np.arange(start, start + len(block), dtype=np.int64)
        cells = np.ascontiguousarray(cell_of[start : start + len(block)])
        # The cells are known: `add` would compute them again.
        inverted.add_core(len(block), *(faiss.swig_ptr(array) for array in (block, places, cells)))
    inverted.ntotal = len(numbers)
    return Cells(inverted)


def _divided(faiss: Any, count: int, numbers: Tensor, vectors: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    sample = torch.randperm(len(numbers), generator=generator)[: VECTORS_A_CELL_TO_LEARN * count].sort().values
    learned = vectors(numbers[sample]).float().numpy()
    means = faiss.Kmeans(
        learned.shape[1],
        count,
        niter=ROUNDS,
        seed=SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=VECTORS_A_CELL_TO_LEARN,
    )
    means.train(learned)
    cell_of = [
        torch.from_numpy(means.index.search(vectors(numbers[start : start + VECTORS_AT_ONCE]).float().numpy(), 1)[1])
        for start in range(0, len(numbers), VECTORS_AT_ONCE)
    ]
    return {"centres": torch.from_numpy(means.centroids), "cell_of": torch.cat(cell_of)[:, 0]}
