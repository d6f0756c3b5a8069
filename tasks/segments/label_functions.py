"""Labels that are a function of one segment: where a part's presence alone gives the label away (our reading)."""

from collections import defaultdict
from functools import lru_cache

import numpy as np

from tasks.segments.source import SPLITS
from tasks.segments.store import SegmentStore

FLAGGED = 0.95  # balanced accuracy; masks and labels made apart agree a little less than always


@lru_cache(maxsize=1)
def presence_accuracy(store: SegmentStore) -> dict[str, float]:
    """How well each class's presence alone predicts the label, over both splits of a store with two labels or more.

    Returns:
        Class name to balanced accuracy in [1 / labels, 1]: the mean over the labels of the share of images that a rule
        "present: one label, absent: another" gets right, with the best such rule.
    """
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    totals: dict[str, int] = defaultdict(int)
    for split in SPLITS:
        for batch in store.batches(split, ["label", "segments"]):
            labels, of_images = batch.column("label").to_pylist(), batch.column("segments")
            names = of_images.flatten().field("name").to_pylist()
            lengths = of_images.value_lengths().to_numpy(zero_copy_only=False)
            for label in labels:
                totals[label] += 1
            for name, label in zip(names, np.repeat(labels, lengths).tolist(), strict=True):
                counts[name][label] += 1
    accuracy = {}
    for name, by_label in counts.items():
        share = {label: by_label[label] / total for label, total in totals.items()}
        best = max(share[present] + (1 - share[absent]) for present in totals for absent in totals if present != absent)
        accuracy[name] = best / len(totals)
    return accuracy


def label_functions(store: SegmentStore) -> list[str]:
    """Names of the classes whose presence alone gives the label away, the surest first."""
    accuracy = presence_accuracy(store)
    return sorted((name for name, value in accuracy.items() if value >= FLAGGED), key=lambda name: -accuracy[name])
