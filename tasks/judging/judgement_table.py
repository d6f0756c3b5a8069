"""What the judging found, as tables that people read."""

from collections.abc import Sequence

from tasks.explanation.table import Table, difference_cell, with_interval
from tasks.judging.judge import AVSL, MEASURES, SANITY_PAIRS, Judged, best_of
from tasks.judging.map_speed import MapSpeed
from tasks.judging.sanity import PASSES_BELOW
from tasks.paired_rounds import Ratio

SFAM = "sfam"


def judgement_tables(judged: Sequence[Judged], notes: Sequence[str]) -> list[Table]:
    """Every measure of every method, SFAM against the others on the same pairs, and the sanity of all.

    Args:
        judged: the methods, SFAM among them.
        notes: what a reader has to know of model and data.
    """
    return [_measures(judged, notes), *_against(judged, notes), _sanity(judged, notes)]


def _measures(judged: Sequence[Judged], notes: Sequence[str]) -> Table:
    legend = ", ".join(
        f"{measure.title} {'up' if measure.higher_is_better else 'down'}" for measure in MEASURES.values()
    )
    return Table(
        name="judgement",
        title="Maps judged",
        columns=("method", *(measure.title for measure in MEASURES.values()), "sanity"),
        rows=tuple(
            (
                _name(row),
                *(_estimate(row, measure) for measure in MEASURES),
                "passes" if row.passes_sanity else "FAILS",
            )
            for row in judged
        ),
        notes=(
            *notes,
            "In percent, mean and 95 % bootstrap interval over the pairs where the figure is defined. "
            f"What is better: {legend}.",
            "The similarity is the cosine of the embeddings, the support's held fixed (of AVSL, a model of its own, "
            "1 - D / 2). *given the masks*: the method sees the label map, so energy and pointing do not compare with "
            "the others'. floor: it knows nothing of the pair.",
        ),
    )


def _against(judged: Sequence[Judged], notes: Sequence[str]) -> list[Table]:
    """SFAM minus every other method, pair by pair."""
    sfam = next((row for row in judged if row.method.name == SFAM), None)
    if sfam is None:
        return []
    others = [row for row in judged if row is not sfam and row.method != AVSL]  # AVSL's similarity is another
    best = {measure: best_of([row for row in others if row.method.gradient], measure) for measure in MEASURES}
    return [
        Table(
            name="sfam-against",
            title="SFAM against the other methods, pair by pair",
            columns=("method", *(measure.title for measure in MEASURES.values())),
            rows=tuple(
                (
                    _name(row),
                    *(
                        difference_cell(sfam.better_than(row, measure)) + (" *" if row is best[measure] else "")
                        for measure in MEASURES
                    ),
                )
                for row in others
            ),
            notes=(
                *notes,
                "In points, positive where SFAM is better, with the 95 % interval of the paired difference; a tie "
                "where it holds 0. * marks the best gradient-based method of the column.",
            ),
        )
    ]


def _sanity(judged: Sequence[Judged], notes: Sequence[str]) -> Table:
    directions = list(judged[0].sanity) if judged else []
    first = judged[0].sanity if judged else {}
    heads = [f"{direction}: {stage}" for direction in directions for stage in first[direction].stages]
    return Table(
        name="sanity",
        title="Cascading randomisation",
        columns=("method", *heads, "verdict"),
        rows=tuple(
            (
                _name(row),
                *(
                    "-" if rank is None else f"{rank:.2f} / {similarity:.2f}"
                    for direction in directions
                    for rank, similarity in zip(
                        row.sanity[direction].rank_correlation, row.sanity[direction].structural_similarity, strict=True
                    )
                ),
                "passes" if row.passes_sanity else "FAILS",
            )
            for row in judged
        ),
        notes=(
            *notes,
            f"Spearman's correlation and SSIM with the original map, means over {SANITY_PAIRS} pairs at most, once all "
            "stages up to the column's are random. A method fails whose maps still correlate with the original ones "
            f"at {PASSES_BELOW} or more when everything is random: its maps do not depend on what was learned.",
        ),
    )


def speed_table(speed: MapSpeed, notes: Sequence[str]) -> Table:
    """How fast SFAM's maps are made, beside Grad-CAM's of the package grad-cam at the same batch and layer."""

    def cell(ratio: Ratio) -> str:
        return f"{ratio.median:.1f} x ({ratio.low:.1f} to {ratio.high:.1f})"

    return Table(
        name="map-speed",
        title="Maps a second",
        columns=("SFAM", "Grad-CAM", "SFAM / Grad-CAM", "the same, Grad-CAM's target embeddings given"),
        rows=((f"{speed.sfam:.0f}", f"{speed.grad_cam:.0f}", cell(speed.ratio), cell(speed.ratio_targets_given)),),
        notes=(
            *notes,
            f"{speed.maps} maps a round, {speed.rounds} rounds in turns in one process, median and range; device "
            f"{speed.device}, {speed.threads} threads of torch. Grad-CAM as the package grad-cam is used: made once, "
            "queries and supports in one batch, each with the other's embedding as its target.",
        ),
    )


def _name(row: Judged) -> str:
    marks = {"given the masks": row.method.given_masks, "floor": row.method.floor}
    said = ", ".join(mark for mark, holds in marks.items() if holds)
    return row.method.title + (f" ({said})" if said else "")


def _estimate(row: Judged, measure: str) -> str:
    found = row.estimate(measure)
    return "-" if found is None else with_interval(found.mean, found.interval)
