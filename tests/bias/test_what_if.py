from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.bias.decided import Decided, decide_all
from tasks.bias.exchange import exchange_segment
from tasks.bias.picture import Picture
from tasks.bias.presence import shows
from tasks.bias.what_if import DECISION, WhatIf, draw_donors, what_if
from tasks.metric.embed_photo import embed_photo
from tasks.metric.trained_tree import TrainedTree
from tasks.segments.pictures import decode_image, decode_label_map


@pytest.fixture(scope="module", params=["own", "composed"])
def trained(request: pytest.FixtureRequest, grown: Any) -> TrainedTree:
    return replace(grown.trained, decision=request.param)


@pytest.fixture(scope="module")
def decided(trained: TrainedTree, grown: Any) -> Decided:
    return decide_all(trained, grown.store, grown.decoded)


@pytest.fixture(scope="module")
def badge(trained: TrainedTree, decided: Decided, grown: Any) -> WhatIf:
    found = what_if(trained, grown.store, decided, trained.tree["badge"], 16, seed=1)
    assert found is not None
    return found


def test_the_badge_carries_the_label_with_it(badge: WhatIf) -> None:
    assert set(badge.other_label) == {"badge", "figure", "root", DECISION}
    assert badge.other_label["badge"].share > 0.8
    assert badge.same_label["badge"].share < 0.2
    assert badge.other_label[DECISION].share > badge.same_label[DECISION].share


def test_flips_are_counted_as_a_loop_counts_them(
    trained: TrainedTree, decided: Decided, grown: Any, badge: WhatIf
) -> None:
    pictures = [
        Picture(decode_image(row.image, "x"), decode_label_map(row.mask, "x"))
        for row in grown.store.iterate("validation")
    ]
    changed: dict[str, list[bool]] = {"badge": [], "root": []}
    shown = shows(grown.store, "validation", ("badge",))
    for photo, donor in draw_donors(decided.labels, shown, 16, False, 1):
        after = exchange_segment(pictures[photo], pictures[donor], (2,))
        for name, own in changed.items():
            asked, among = decided.queries[name], decided.references[name]
            made, there = embed_photo(trained, name, *after)
            if photo not in asked.indices.tolist() or not there:
                continue
            assert made is not None
            before = asked.embeddings[asked.indices.tolist().index(photo)]
            rows = torch.nn.functional.normalize(among.embeddings.double(), dim=1)
            near = []
            for query in (before, made):
                nearest = int((rows - query.double() / query.double().norm()).square().sum(dim=1).argmin())
                near.append(decided.reference_labels[int(among.indices[nearest])])
            own.append(near[0] != near[1])
    for name, own in changed.items():
        assert badge.other_label[name].photos == len(own)
        assert badge.other_label[name].share == pytest.approx(np.mean(own))


def test_donors_are_of_the_label_that_is_asked_for() -> None:
    labels, every = ["a"] * 6 + ["b"] * 3 + ["c"], np.ones(10, dtype=np.bool_)
    other, same = (draw_donors(labels, every, 10, alike, 0) for alike in (False, True))
    assert all(labels[photo] != labels[donor] for photo, donor in other)
    assert all(labels[photo] == labels[donor] and photo != donor for photo, donor in same)
    assert sorted(photo for photo, _ in other) == list(range(10))
    assert sorted(photo for photo, _ in same) == list(range(9))  # nobody else is a c
    assert max(Counter(photo for photo, _ in draw_donors(labels, every, 4, False, 1)).values()) == 1
    assert len(draw_donors(labels, every, 4, False, 1)) == 4


def test_one_of_two_shows_the_segment() -> None:
    labels, shown = ["a", "b"] * 20, np.arange(40) == 7  # one photo, a b
    pairs = draw_donors(labels, shown, 40, False, 0)
    assert len(pairs) == 21 and all(7 in pair for pair in pairs)
    assert draw_donors(labels, np.zeros(40, dtype=np.bool_), 40, False, 0) == []


def test_the_background_cannot_be_exchanged(trained: TrainedTree, decided: Decided, grown: Any) -> None:
    ground = replace(trained.tree["badge"], classes=("ground",))
    assert what_if(trained, grown.store, decided, ground, 4, 0) is None
