"""The audit puts together what its parts say; planted shortcuts are in test_planted_bias."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.bias.audit import CrossFits, audit
from tasks.bias.bias_record import BiasReport
from tasks.bias.cross_fit import CrossFit
from tasks.bias.decided import decide_all
from tasks.bias.groups import group_values
from tasks.bias.shortcut import balanced


def fit_of(grown: Any, leaf: str, train: float, validation: float, seed: int) -> CrossFit:
    """Shares of which so many are right, of the photos that show the leaf."""
    generator = np.random.default_rng(seed)
    view = {
        split: np.flatnonzero([
            any(segment["name"] == leaf for segment in of_photo) or leaf == "ground"
            for of_photo in grown.store.columns(split, ["segments"])["segments"]
        ])
        for split in ("train", "validation")
    }  # fmt: skip
    return CrossFit(
        train_indices=view["train"],
        train=(generator.random(len(view["train"])) < train).astype(np.float64),
        validation_indices=view["validation"],
        validation=(generator.random(len(view["validation"])) < validation).astype(np.float64),
    )


@pytest.fixture(scope="module")
def fits(grown: Any) -> CrossFits:
    return CrossFits(
        leaves={
            "body": fit_of(grown, "body", 0.5, 0.5, 0),
            "badge": fit_of(grown, "badge", 1.0, 0.2, 1),
            "spot": None,
        },
        shapes={"body": fit_of(grown, "body", 0.8, 0.8, 2), "badge": fit_of(grown, "badge", 0.5, 0.5, 3), "spot": None},
        background=fit_of(grown, "ground", 0.6, 0.6, 4),
    )


@pytest.fixture(scope="module")
def report(grown: Any, fits: CrossFits) -> BiasReport:
    decided = decide_all(grown.trained, grown.store, grown.decoded)
    return audit(grown.trained, grown.store, decided, fits, group="group", photos=6)


def test_the_shortcut_comes_first_with_its_reason_and_a_plan(report: BiasReport) -> None:
    assert [segment.segment for segment in report.shortcuts] == ["badge"]
    assert report.segments[0].reasons == (
        "its look tells the label of training photos, and less of that of validation photos",
    )
    assert report.plan == {"segment": "badge", "classes": ["badge"], "kind": "other-label", "seed": 0}
    assert replace(report, what_if=()).plan is None  # what cannot be exchanged cannot be recombined
    scores = [segment.score for segment in report.segments]
    assert scores == sorted(scores, reverse=True)


def test_each_part_stands_beside_its_controls(grown: Any, report: BiasReport, fits: CrossFits) -> None:
    by_name = {segment.segment: segment for segment in report.segments}
    labels = grown.store.columns("train", ["label"])["label"]
    fit, shape, background = fits.leaves["badge"], fits.shapes["badge"], fits.background
    assert fit and shape and background
    look = by_name["badge"].look
    assert look is not None
    assert look.train == balanced(fit.train, [labels[i] for i in fit.train_indices])
    here = [i for i in background.train_indices.tolist() if i in set(fit.train_indices.tolist())]
    assert by_name["badge"].background == balanced(background.train[here], [labels[i] for i in here])
    better = max(shape.train.mean(), background.train[here].mean())
    above = by_name["badge"].above_controls
    assert above is not None
    assert above.value == pytest.approx(fit.train.mean() - better)
    above = by_name["body"].above_controls
    assert above is not None and above.interval[1] < 0  # its mask tells more than its look
    assert by_name["spot"].look is None and by_name["spot"].shape is None
    assert by_name["spot"].presence is not None and by_name["body"].presence is None  # every photo shows a body


def test_counts_and_groups_are_the_store_s(grown: Any, report: BiasReport) -> None:
    for split in ("train", "validation"):
        own = [count for count in report.counts if count.split == split]
        assert sum(count.photos for count in own) == grown.store.rows(split)
        assert sum(count.showing["badge"] for count in own) == sum(
            any(segment["name"] == "badge" for segment in of_photo)
            for of_photo in grown.store.columns(split, ["segments"])["segments"]
        )
    assert report.groups is not None and report.amplification is not None
    assert {cell.group for cell in report.groups.cells} == set(group_values(grown.store, "validation", "group"))
    assert report.precision == pytest.approx(report.groups.mean)
    assert report.chance == 0.5
    assert {found.segment for found in report.what_if} == {"body", "badge", "spot"}


def test_the_report_is_plain_values(report: BiasReport) -> None:
    again = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert again["plan"] == report.plan
    assert again["segments"][0]["reasons"] == list(report.segments[0].reasons)
    assert again["chance"] == 0.5


def test_a_part_that_tells_nothing_within_a_group_raises_an_alarm(grown: Any) -> None:
    groups = group_values(grown.store, "train", "group")
    whole = fit_of(grown, "body", 1.0, 1.0, 0)
    labels = grown.store.columns("train", ["label"])["label"]
    # Right of all but every second photo of each label in the group "left".
    seen: dict[str, int] = {}
    shares = []
    for index in whole.train_indices.tolist():
        if groups[index] == "left":
            seen[labels[index]] = seen.get(labels[index], 0) + 1
        shares.append(float(groups[index] != "left" or seen[labels[index]] % 2 == 0))
    fit = replace(whole, train=np.array(shares))
    fits = CrossFits(leaves={"body": fit, "badge": None, "spot": None}, shapes={}, background=None)
    decided = decide_all(grown.trained, grown.store, grown.decoded)
    grouped = audit(grown.trained, grown.store, decided, fits, group="group", photos=2)
    body = next(segment for segment in grouped.segments if segment.segment == "body")
    assert body.within is not None and body.within.group == "left"
    assert body.within.least.value == pytest.approx(0.5, abs=0.05)
    bare = audit(grown.trained, grown.store, decided, fits, group=None, photos=2)
    assert bare.groups is None and bare.amplification is None
    assert all(segment.within is None for segment in bare.segments)
    assert {count.group for count in bare.counts} == {""}
