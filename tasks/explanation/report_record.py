"""The record of one training run: what every node reached, and on what data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.metric.controls import Controlled
from tasks.metric.node_result import ShownStatus


@dataclass(frozen=True, kw_only=True)
class Score:
    """Precision at k of one node on its validation images.

    Attributes:
        value: in [0, 1].
        interval: its 95 % bootstrap interval.
    """

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What one node reached.

    Attributes:
        name: the node's name.
        segments: names of the leaves below it (for a leaf: its own name).
        children: names of its two children; empty for a leaf.
        level: 0 for a leaf, else one more than its highest child's.
        status: "trained" in this run, "cached" from an earlier one, or "degenerate" (too few images to train).
        precision_at: k (1, 2, 8) to the score; None where the node has k images or fewer, or no model.
        composed_at: the same by the composed decision, the weighted sum of its leaves' distances; empty for a leaf.
        weight: a trained leaf's in that sum.
        controls: a leaf's, where they were trained.
        n: number of validation images that show at least one of its segments.
        samples: up to two of its pictures, uint8 [3, h, w] each.
        sheets: its SFAM sheets, as encoded PNG.
    """

    name: str
    segments: tuple[str, ...]
    children: tuple[str, ...]
    level: int
    status: ShownStatus
    precision_at: Mapping[int, Score | None]
    n: int
    composed_at: Mapping[int, Score | None] = field(default_factory=dict)
    weight: float | None = None
    controls: Controlled | None = None
    samples: tuple[NDArray[np.uint8], ...] = ()
    sheets: tuple[bytes, ...] = ()

    def score(self, k: int) -> Score | None:
        """Precision at k where there is one."""
        return self.precision_at.get(k)

    def composed_score(self, k: int) -> Score | None:
        """Precision at k by the composed decision where there is one."""
        return self.composed_at.get(k)


@dataclass(frozen=True, kw_only=True)
class TreeReport:
    """What a training run came to.

    Attributes:
        data_set: name of the data set.
        digest: digest of the segment store.
        images: split to its number of images.
        label_counts: label to the number of its images in every split.
        chance: P@K of random neighbours among all validation images, for any K.
        nodes: children before parents; the last one is the root.
        segmenter_iou: class to its intersection over union against known masks, in [0, 1]; None where the masks are
            given and no segmenter made them.
        r_squared: share of the root distance's variance over validation pairs that the sum of the leaves' distances
            explains; None if the root or every leaf has no model.
        rank_correlation: Spearman's, over the same pairs.
        pairs: number of these pairs.
        notes: what a reader must know, such as "label is a function of one segment: hat".
    """

    data_set: str
    digest: str
    images: Mapping[str, int]
    label_counts: Mapping[str, Mapping[str, int]]
    chance: float | None
    nodes: tuple[NodeReport, ...]
    segmenter_iou: Mapping[str, float | None] | None = None
    r_squared: float | None = None
    rank_correlation: float | None = None
    pairs: int = 0
    notes: tuple[str, ...] = ()

    @property
    def controlled(self) -> bool:
        """Whether controls were trained."""
        return any(node.controls is not None for node in self.nodes)

    @property
    def root(self) -> NodeReport:
        """The node that shows the full image."""
        return self.nodes[-1]
