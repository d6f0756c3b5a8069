from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.metric.compare import compare_nodes
from tasks.metric.composed import PartEmbeddings
from tasks.metric.controls import controlled, judge_controls
from tasks.metric.evaluation import evaluate
from tasks.segments.compose import Fill

LABELS = torch.arange(80) % 2


def telling(strength: float, seed: int, images: range) -> PartEmbeddings:
    generator = np.random.default_rng(seed)
    indices = torch.tensor(list(images))
    angles = np.pi * LABELS[indices].numpy() + generator.normal(size=len(indices)) / strength
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return PartEmbeddings(embeddings=torch.from_numpy(rows), indices=indices)


LEAF, SHAPE, BACKGROUND = telling(2, 0, range(0, 80, 3)), telling(0.3, 1, range(0, 80, 3)), telling(5, 2, range(80))


def test_controls_are_judged_on_the_leaf_s_images() -> None:
    got = controlled(LEAF, SHAPE, BACKGROUND, LABELS, "cosine", "black")
    assert got.shape == evaluate(SHAPE.embeddings, LABELS[::3], "cosine")
    assert got.background == evaluate(BACKGROUND.embeddings[::3], LABELS[::3], "cosine")
    assert got.background.n == 27


@pytest.mark.parametrize(("fill", "rival"), [("black", SHAPE), ("mean", SHAPE), ("background", BACKGROUND)])
def test_a_leaf_is_compared_with_the_best_control_that_its_pictures_hold(fill: Fill, rival: PartEmbeddings) -> None:
    got = controlled(LEAF, SHAPE, BACKGROUND, LABELS, "cosine", fill)
    assert got.above == compare_nodes(LEAF, rival, LABELS, "cosine")
    assert got.above is not None and (got.above.value > 0) == (rival is SHAPE)


def test_a_control_that_could_not_be_trained_is_left_out() -> None:
    got = controlled(LEAF, None, BACKGROUND, LABELS, "cosine", "black")
    assert (got.shape, got.above) == (None, None)
    assert got.background is not None
    both = controlled(LEAF, None, BACKGROUND, LABELS, "cosine", "blur")
    assert both.above == compare_nodes(LEAF, BACKGROUND, LABELS, "cosine")


def test_every_trained_leaf_is_judged(grown: Any) -> None:
    body = replace(grown.results["body"], node="badge: shape only")
    root = replace(grown.results["root"], node="background only")
    got = judge_controls(grown.tree, grown.store, grown.options, grown.results, [body, root])
    assert set(got) == {"body", "badge"}  # the spot is degenerate
    assert got["body"].shape is None and got["body"].background is not None
    assert got["badge"].shape == grown.results["body"].precision
    assert got["badge"].above is not None and got["badge"].above.n == 16
    assert judge_controls(grown.tree, grown.store, grown.options, grown.results, []) == {}
