"""The audit puts together what its parts say; planted shortcuts are in test_planted_bias."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tasks.bias.audit import CrossFits, audit
from tasks.bias.auditable import check_auditable
from tasks.bias.bias_record import BiasReport
from tasks.bias.cross_fit import CrossFit
from tasks.bias.decided import decide_all
from tasks.bias.groups import group_values
from tasks.bias.shortcut import balanced
from tasks.errors import InputError
from tasks.segments.provenance import Provenance
from tasks.segments.store import SegmentStore
from tasks.segments.store_row import Row

LABELS = ("day", "night")


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
    assert look.train == balanced(fit.train, [labels[i] for i in fit.train_indices], LABELS)
    here = [i for i in background.train_indices.tolist() if i in set(fit.train_indices.tolist())]
    assert by_name["badge"].background == balanced(background.train[here], [labels[i] for i in here], LABELS)
    means = []  # of each label, of the badge and its controls
    for each, rows in ((fit, fit.train_indices.tolist()), (shape, fit.train_indices.tolist()), (background, here)):
        share = dict(zip(each.train_indices.tolist(), each.train.tolist(), strict=True))
        means.append(np.mean([np.mean([share[i] for i in rows if labels[i] == label]) for label in LABELS]))
    above = by_name["badge"].above_controls
    assert above is not None
    assert above.value == pytest.approx(means[0] - max(means[1:]))
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


def test_the_score_is_of_what_raised_the_alarm(report: BiasReport) -> None:
    badge = report.segments[0]
    assert badge.look is not None
    unsure = replace(badge.look, alarm=False, value=0.4)
    sure = replace(badge.look, alarm=True, value=0.06)
    assert replace(badge, look=unsure, presence=sure).score == 0.06
    assert replace(badge, look=unsure, presence=None).score == 0.4


@pytest.fixture
def many(make_store: Callable[..., SegmentStore], tmp_path: Path) -> SegmentStore:
    """300 photos in the group "left", 84 in "right", 16 in "few", and 16 in none."""

    def change(row: Row) -> Row:
        number = int(row.image_id.split("-")[1])
        group = "left" if number < 300 else "right" if number < 384 else "few" if number < 400 else None
        return replace(row, group=group)

    return make_store(tmp_path / "many", train=416, change=change)


def test_a_part_that_tells_nothing_within_a_group_raises_an_alarm(
    grown: Any, many: SegmentStore, tmp_path: Path
) -> None:
    right = np.array([1.0, 0.0, 0.0, 1.0] * 75 + [1.0] * 84 + [0.0, 1.0, 1.0, 0.0] * 4 + [0.0] * 16)
    validation = np.arange(16)
    fit = CrossFit(train_indices=np.arange(416), train=right, validation_indices=validation, validation=np.ones(16))
    fits = CrossFits(leaves={"body": fit, "badge": None, "spot": None}, shapes={}, background=None)
    decided = decide_all(grown.trained, many, tmp_path / "decoded")
    grouped = audit(grown.trained, many, decided, fits, group="group", photos=2)
    first = grouped.segments[0]
    assert first.segment == "body" and first.within is not None
    # The few tell as little, but that may be chance; what group the last ones are of is not known.
    assert (first.within.group, first.within.alarm, first.within.least.value) == ("left", True, 0.5)
    assert first.look is not None
    distance = (0.5 - first.look.train.value) / first.within.least.variance**0.5
    assert first.within.p_value == pytest.approx(3 * stats.norm.cdf(distance))  # of three groups
    assert first.reasons == ("its look tells the label over all, and not within the group left",)
    assert first.score == pytest.approx(right.mean() - 0.5, abs=0.01)
    bare = audit(grown.trained, many, decided, fits, group=None, photos=2)
    assert bare.groups is None and bare.amplification is None
    assert all(segment.within is None for segment in bare.segments)
    assert {count.group for count in bare.counts} == {""}


def test_what_cannot_be_audited_is_said(
    many: SegmentStore, make_store: Callable[..., SegmentStore], tmp_path: Path
) -> None:
    check_auditable(many)

    def copied(row: Row) -> Row:
        made = Provenance(kind="copy", segment="", receiver="x", donor="x", seed=0, held_out=False)
        return replace(row, provenance=made) if row.image_id == "train-003" else row

    with pytest.raises(InputError, match="has rows that are no photos, and photos are audited"):
        check_auditable(make_store(tmp_path / "copied", change=copied))

    def renamed(row: Row) -> Row:
        return replace(row, label=f"new {row.label}") if row.split == "validation" else row

    with pytest.raises(InputError, match=r"of the same labels, two or more; .* has 0 in both splits"):
        check_auditable(make_store(tmp_path / "renamed", change=renamed))
