"""Numbers in words, the same on every page and picture."""

import math

from tasks.explanation.record import AdditiveReading, NodeExplanation, PairExplanation

MINUS = "\N{MINUS SIGN}"
# Keeps the sign on the number's line.
PERCENT = "\N{NO-BREAK SPACE}%"


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; "n/a" for None and NaN."""
    if value is None or math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    text = f"{value:.{digits}f}" if abs(value) < 10_000 else f"{value:.2e}"
    # "-0.00" would claim a sign that the shown digits do not carry.
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage without decimals; "n/a" for None and NaN."""
    return "n/a" if value is None or not math.isfinite(value) else f"{number(100 * value, 0)}{PERCENT}"


def interval(bounds: tuple[float, float] | None) -> str:
    """A 95 % interval: "0.79 to 0.88"."""
    return "n/a" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def similarity(bounded_distance: float | None) -> float | None:
    """1 - bounded distance, in [0, 1]; None where there is no distance."""
    return None if bounded_distance is None else 1 - bounded_distance


def distance(value: float | None, digits: int = 3) -> str:
    """A distance with so many decimals; with two digits, "7.6e-6", where it is less than they show and not 0."""
    if value is not None and 0 < value < 10**-digits:
        return f"{value:.1e}".replace("e-0", "e-")
    return number(value, digits)


def alike(bounded_distance: float | None, digits: int = 3) -> str:
    """The similarity with so many decimals, which never claims 1 of less: ">0.999"."""
    text = number(similarity(bounded_distance), digits)
    return f">{number(1 - 10**-digits, digits)}" if bounded_distance and text == number(1, digits) else text


def among_pairs(percentile: float | None) -> str:
    """What a percentile of the distance says, in words that follow "they are".

    Args:
        percentile: share of the validation pairs whose distance is at most this one, in [0, 100].
    """
    if percentile is None or math.isnan(percentile):
        return "without validation pairs to compare with"
    if percentile <= 0:
        return "closer than every validation pair"
    if percentile >= 100:
        return "at least as far apart as every validation pair"
    if percentile <= 50:
        return f"closer than {_whole(100 - percentile)}{PERCENT} of the validation pairs"
    return f"farther apart than {_whole(percentile)}{PERCENT} of the validation pairs"


def verdict(explanation: PairExplanation) -> str:
    """How alike a pair is, in a line for a terminal."""
    if explanation.distance is None:
        return f"no overall similarity: {missing(explanation.root)}"
    where = among_pairs(explanation.percentile).replace(PERCENT, " %")
    return f"similarity {alike(explanation.distance)}; {where}"


def part_words(node: NodeExplanation) -> str:
    """How alike a part is, compared with other parts: by the pairs of one label where there are such; "" if unknown."""
    return standing_words(node.percentile, node.same_label_percentile)


def standing_words(percentile: float | None, same_label_percentile: float | None) -> str:
    """The same of the two percentiles, in [0, 100]."""
    if same_label_percentile is None:
        return closest(percentile)
    if same_label_percentile <= 50:
        return f"closer than {_share(100 - same_label_percentile)} pairs of one label"
    return f"farther apart than {_share(same_label_percentile)} pairs of one label"


def _share(percentile: float) -> str:
    return "all" if percentile >= 100 else f"{_whole(percentile)}{PERCENT} of the"


def closest(percentile: float | None) -> str:
    """The same in two words, for a small card: "closest 17 %", "farthest 8 %"."""
    if percentile is None or math.isnan(percentile):
        return ""
    return (
        f"closest {_whole(percentile)}{PERCENT}"
        if percentile <= 50
        else f"farthest {_whole(100 - percentile)}{PERCENT}"
    )


def missing(node: NodeExplanation) -> str:
    """Why a node has no distance ("absent in A", "no model"); empty if it has one."""
    if node.bounded_distance is not None:
        return ""
    if not all(node.present):
        return absence(node)
    return "no model" if node.status == "degenerate" else "no distance"


def absence(node: NodeExplanation) -> str:
    """In which photo the part is absent; empty if both have it."""
    if all(node.present):
        return ""
    if not any(node.present):
        return "absent in both"
    return "absent in B" if node.present[0] else "absent in A"


def additive_words(additive: AdditiveReading) -> str:
    """How to read the bars that add up, and what the root makes of their total."""
    residual = number(additive.residual)
    if number(abs(additive.residual)) == number(0):
        verdict = "which is what its parts suggest"
    elif additive.residual > 0:
        verdict = f"so it sees the two {residual} farther apart than their parts suggest"
    else:
        verdict = f"so it sees the two {residual.lstrip(MINUS)} closer than their parts suggest"
    sentences = [
        "Read from the top: each bar starts where the one above ends, and together they make the total of "
        f"{distance(additive.total, 2)}.",
        f"From this total a straight line, fitted on {additive.pairs} validation pairs, expects the root's distance "
        f"to be {distance(additive.predicted_root_distance, 2)}; the root's own model says "
        f"{distance(additive.root_distance, 2)}, {verdict}.",
    ]
    if math.isfinite(additive.r_squared):
        # Below one half the total leaves most of the root's distance unexplained.
        caution = ": take the parts as hints, not as a full account" if additive.r_squared < 0.5 else ""
        share = percent(max(additive.r_squared, 0.0))
        sentences.append(f"Over those pairs the total explains {share} of how the root's distance varies{caution}.")
    return " ".join(sentences)


def _whole(share: float) -> str:
    """A percentage in (0, 100) without decimals that never claims 0 or 100."""
    if share < 0.5:
        return "<1"
    return ">99" if share > 99.5 else f"{share:.0f}"
