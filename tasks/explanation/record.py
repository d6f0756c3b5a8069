"""The record of one explanation: the tree of distances of two photos, with a map at every node."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.metric.decision import Decision
from tasks.metric.evaluation import Precision
from tasks.segments.framing import Box


@dataclass(frozen=True, kw_only=True)
class NodeExplanation:
    """What one node says about the two photos A and B.

    Distances are None where the node is degenerate (it has no model), or where the part is absent in A or B and the
    tree skips absent parts.

    Attributes:
        name: the node's name.
        segments: names of the leaves below it (for a leaf: its own name).
        children: names of its two children; empty for a leaf.
        level: 0 for a leaf, else one more than its highest child's.
        status: "trained" or "degenerate".
        present: whether the part is in A, and in B.
        snr_distance: var(a - b) / var(a) of the L2-normalised embeddings, in [0, inf); asymmetric.
        bounded_distance: var(a - b) / (2 (var a + var b)), in [0, 1]; similarity is shown as 1 - this.
        percentile: share of the node's validation pairs whose bounded distance is at most this one, in [0, 100].
        precision: the node's P@K on its validation images; its figures are None where the node is degenerate.
        composed: the node's picture of A and of B, uint8 [3, h, w].
        maps: SFAM of A and of B, float32 [h, w] in [0, 1]; None where there is no distance.
        bias_share: share of the explained similarity (the cosine; for the SNR loss, 1 - 2 times the bounded distance)
            that the model's biases carry, not the channels, for A and for B.
        composed_distance: the weighted sum of the terms of the trained leaves below it, in [0, 4]; None without any.
        composed_precision: P@K by that sum; None for a leaf.
        boxes: the square of A and of B that the node sees, in the photo's pixels; None where it sees the whole photo.
        same_label_percentile: share of the node's validation pairs of one label whose bounded distance is at most this
            one, in [0, 100]: near 100, the part is farther apart than two photos of one label have it.
    """

    name: str
    segments: tuple[str, ...]
    children: tuple[str, ...]
    level: int
    status: str
    present: tuple[bool, bool]
    snr_distance: float | None
    bounded_distance: float | None
    percentile: float | None
    precision: Precision
    composed: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    bias_share: tuple[float, float] | None
    composed_distance: float | None = None
    composed_precision: Precision | None = None
    boxes: tuple[Box | None, Box | None] = (None, None)
    same_label_percentile: float | None = None

    @property
    def standing(self) -> float | None:
        """By what parts are compared with each other, in [0, 100]: the percentile among pairs of one label, where a
        part that tells the labels apart stands out; among all pairs where there are none of one label."""
        return self.percentile if self.same_label_percentile is None else self.same_label_percentile


@dataclass(frozen=True, kw_only=True)
class AdditiveReading:
    """How the leaves' distances add up to the root's (HEML: z = sum_i y_i; squared Euclidean form, our reading).

    Attributes:
        terms: leaf name to w_i |a_i - b_i|^2 on L2-normalised embeddings; a part absent in one photo is the zero
            vector (the term is w_i), absent in both it counts 0.
        weights: leaf name to w_i; they sum to 1.
        total: the sum of the terms: the composed distance, in [0, 4].
        root_distance: squared Euclidean distance of the root's own model.
        predicted_root_distance: the root's distance as a straight line of the total, fitted on validation pairs.
        residual: root_distance - predicted_root_distance.
        r_squared: share of the root distance's variance over validation pairs that the total explains.
        rank_correlation: Spearman's, over the same pairs.
        pairs: number of validation pairs that the line was fitted on.
    """

    terms: dict[str, float]
    weights: dict[str, float]
    total: float
    root_distance: float
    predicted_root_distance: float
    residual: float
    r_squared: float
    rank_correlation: float
    pairs: int


@dataclass(frozen=True, kw_only=True)
class PairExplanation:
    """The metric tree of two photos.

    Attributes:
        photos: A and B, full pictures, uint8 [3, h, w] (own size each).
        names: their file names, as they came: data, to be escaped wherever shown.
        labels: their labels where known.
        nodes: children before parents; the last one is the root.
        additive: the additive reading; None if the root or every leaf has no distance.
        decision: which of the root's two distances is the tree's.
        composed_percentile: share of the validation pairs whose composed distance at the root is at most this one's,
            in [0, 100].
        composed_maps: of A and of B, float32 [h, w] in the root's frame: the leaves' conserving maps added up, of
            either sign. The mean is `sum_i w_i cos_i` over the leaves that both show, less the biases' share; None
            without such a leaf.
        typical_distance: what half of the validation pairs are below, on the scale of `distance`; None without pairs.
        chance: P@K of random neighbours among all validation photos, in [0, 1]; None where it is not known.
    """

    photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    names: tuple[str, str]
    labels: tuple[str | None, str | None]
    nodes: tuple[NodeExplanation, ...]
    additive: AdditiveReading | None
    decision: Decision = "own"
    composed_percentile: float | None = None
    composed_maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    typical_distance: float | None = None
    chance: float | None = None

    @property
    def root(self) -> NodeExplanation:
        """The node that shows the full image."""
        return self.nodes[-1]

    @property
    def distance(self) -> float | None:
        """The two photos' distance by the tree's decision, in [0, 1]: 0 the same, 0.5 unrelated, 1 opposite.

        Of the root's own model it is the bounded SNR distance; the composed distance is divided by its maximum, 4.
        """
        if self.decision == "own" or self.root.composed_distance is None:
            return self.root.bounded_distance
        return self.root.composed_distance / 4

    @property
    def percentile(self) -> float | None:
        """Share of the validation pairs with at most this distance, by the tree's decision, in [0, 100]."""
        return self.root.percentile if self.decision == "own" else self.composed_percentile

    @property
    def precision(self) -> Precision:
        """The root's P@K by the tree's decision."""
        composed = self.root.composed_precision if self.decision == "composed" else None
        return composed or self.root.precision

    @property
    def guesses(self) -> bool:
        """Whether the root may find the label no better than chance: the interval of its P@1 reaches that far."""
        interval = self.precision.intervals[1]
        return self.chance is not None and interval is not None and interval[0] <= self.chance
