import json
from collections.abc import Callable

import numpy as np
import pytest

from tasks.bias.deflation import RECOMBINE, REWEIGHT, SAME_LABEL, SUBSAMPLE, Deflation, Outcome, deflation
from tasks.bias.deflation_table import deflation_table
from tasks.bias.gap import gap_difference
from tasks.bias.group_precision import group_precision

LABELS = ("aster",) * 60 + ("briar",) * 60
GROUPS = (("a",) * 30 + ("b",) * 30) * 2
BIASED, FAIR = (0.98, 0.5, 0.5, 0.98), (0.95, 0.94, 0.95, 0.94)


def outcome(name: str, rates: tuple[float, ...], seed: int) -> Outcome:
    generator = np.random.default_rng(seed)
    shares = np.concatenate([(generator.random(30) < rate).astype(np.float64) for rate in rates])
    groups = group_precision(shares, LABELS, GROUPS)
    assert groups is not None
    return Outcome(
        name=name,
        images=240,
        synthetic=120 if name == RECOMBINE else 0,
        epochs=0 if name == "before" else 5,
        decision="composed",
        weight=0.25,
        leaf_precision=None,
        groups=groups,
        shares=shares,
        among_validation=0.7,
    )


@pytest.fixture
def made() -> Callable[..., Deflation]:
    def make(
        recombined: tuple[float, ...], reweighted: tuple[float, ...] = FAIR, before: tuple[float, ...] = BIASED
    ) -> Deflation:
        after = [
            outcome(RECOMBINE, recombined, 1),
            outcome(SAME_LABEL, before, 2),
            outcome(REWEIGHT, reweighted, 3),
            outcome(SUBSAMPLE, FAIR, 4),
        ]
        return deflation("cloth", "group", "portraits", outcome("before", before, 0), after, LABELS, GROUPS)

    return make


def test_what_closed_the_gap_is_said(made: Callable[..., Deflation]) -> None:
    found = made(FAIR)
    change, before, own = found.changes[RECOMBINE], found.before, found.after[0]
    assert change.closed == pytest.approx((before.groups.gap - own.groups.gap) / before.groups.gap)
    assert change.closed > 0.5
    assert change.precision.value == pytest.approx((own.shares - before.shares).mean())
    assert change.gap == gap_difference(before.shares, own.shares, LABELS, GROUPS)
    assert found.changes[SAME_LABEL].gap.is_tie
    assert set(found.against) == {REWEIGHT, SUBSAMPLE}
    assert found.verdict.startswith(f"recombining cloth closed {change.closed:.0%} of the gap to the worst group; mean")
    assert "a tie with reweight" in found.verdict and "a tie with subsample" in found.verdict


def test_what_did_not_help_is_said(made: Callable[..., Deflation]) -> None:
    found = made(BIASED)
    assert found.verdict.startswith("recombining cloth did not help")
    assert "a larger gap than reweight" in found.verdict
    worse = made((0.98, 0.1, 0.5, 0.98))
    assert worse.verdict.startswith("recombining cloth did harm: the gap to the worst group grew")
    assert "a smaller gap than reweight" in made(FAIR, BIASED).verdict


def test_the_table_holds_every_training(made: Callable[..., Deflation]) -> None:
    found = made(FAIR)
    table = deflation_table(found)
    assert [row[0] for row in table.rows] == ["before", RECOMBINE, SAME_LABEL, REWEIGHT, SUBSAMPLE]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[0][6:9] == ("", "", "") and "tie" in table.rows[2][7]
    assert table.notes[0] == found.verdict + "."
    assert "| recombine |" in table.markdown()


def test_it_is_plain_values(made: Callable[..., Deflation]) -> None:
    again = json.loads(json.dumps(made(FAIR).to_dict(), allow_nan=False))
    assert [one["name"] for one in again["outcomes"]] == ["before", RECOMBINE, SAME_LABEL, REWEIGHT, SUBSAMPLE]
    assert "shares" not in again["outcomes"][0]
    assert again["changes"][RECOMBINE]["closed"] > 0.5
