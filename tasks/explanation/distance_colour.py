"""Colours of distances and scores: blue to orange, which colour-blind eyes tell apart."""

import math
from itertools import pairwise

# Blue: alike. Pale: 0.5, two unrelated embeddings. Orange: opposite.
DISTANCE_STOPS = ((0.0, "#1b5fa6"), (0.25, "#6fa8d6"), (0.5, "#e3e1da"), (0.75, "#ea9f52"), (1.0, "#b34a00"))
SCORE_STOPS = ((0.0, "#e3e1da"), (0.5, "#a9c8e2"), (1.0, "#1b5fa6"))
NO_VALUE = "#c9ccd1"

Stops = tuple[tuple[float, str], ...]


def distance_colour(distance: float | None) -> str:
    """The colour of a bounded distance in [0, 1], as #rrggbb; grey for None."""
    return _between(DISTANCE_STOPS, distance)


def score_colour(score: float | None) -> str:
    """The colour of a precision in [0, 1], as #rrggbb; grey for None."""
    return _between(SCORE_STOPS, score)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on this #rrggbb; the contrast is at least 4.5 : 1."""
    # Black and white contrast alike at a luminance of 0.179 (WCAG 2.1), where both reach 4.58.
    return "#000000" if luminance(colour) > 0.179 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance of an #rrggbb in [0, 1], as WCAG 2.1 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _rgb(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _between(stops: Stops, value: float | None) -> str:
    if value is None or math.isnan(value):
        return NO_VALUE
    value = min(max(value, 0.0), 1.0)
    for (low, first), (high, second) in pairwise(stops):
        if value <= high:
            part = (value - low) / (high - low)
            mixed = (a + part * (b - a) for a, b in zip(_rgb(first), _rgb(second), strict=True))
            return "#" + "".join(f"{round(c):02x}" for c in mixed)
    raise AssertionError("the stops end at 1")


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
