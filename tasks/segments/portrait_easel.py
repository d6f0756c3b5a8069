"""The canvas of the embedded portraits: where a part lies, its grain, and how it is laid over what is there.

Lengths are in halves of the picture's side: the canvas spans -1..1, u to the right and v downwards.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.segments.portrait_people import Colour, Identity, Nuisance, Part

Array = NDArray[np.floating]  # float32 in fact: mypy takes float32 times a Python float for float64

EDGE_WIDTH, EDGE_INK = 0.045, 0.30  # the soft outline: how far it reaches inwards, how much it darkens
CONTRAST = {  # of style bit 1: standard deviation of the grain, as a share of the part's colour
    Part.SKIN: 0.14,
    Part.HAIR: 0.27,
    Part.HAT: 0.15,
    Part.EYES: 0.25,
    Part.BROWS: 0.28,
    Part.NOSE: 0.09,
    Part.LIPS: 0.13,
    Part.EARS: 0.12,
    Part.GLASSES: 0.12,
    Part.NECK: 0.09,
    Part.CLOTH: 0.15,
}
# Of style bit 0, before the person's factor; 5 of 96 pixels are 0.104, and less would not outlive scaling to 64 pixels.
PERIOD = dict.fromkeys(CONTRAST, 0.108) | {Part.HAIR: 0.2, Part.HAT: 0.22, Part.CLOTH: 0.24}
# Period of style bit 1 over that of style bit 0; the small parts have no room for two.
FINER = dict.fromkeys(CONTRAST, 1.0) | {Part.HAIR: 0.6, Part.HAT: 0.55, Part.CLOTH: 0.5}
# Contrast of style bit 0 over that of style bit 1.
FAINT = dict.fromkeys(CONTRAST, 1.0) | {Part.HAIR: 0.25, Part.HAT: 0.25, Part.CLOTH: 0.25}


class Area(NamedTuple):
    """A box of the canvas: where it is, and the person's own coordinates of its pixels."""

    u: Array
    v: Array
    at: tuple[slice, slice]


class Easel:
    """The canvas and what all painters need of the person and the moment."""

    def __init__(self, identity: Identity, nuisance: Nuisance, size: int) -> None:
        self.shape, self.palette, self.styles = identity.shape, identity.palette, identity.styles
        self.present, self.turn, self.shift, self.size = identity.present, nuisance.turn, nuisance.shift, size
        self.pixel = 2 / (size * nuisance.scale)
        self.light = (math.cos(nuisance.light), math.sin(nuisance.light))
        cosine, sine = math.cos(nuisance.rotation), math.sin(nuisance.rotation)
        self.axes = (nuisance.scale * cosine, nuisance.scale * sine)  # the person's u on the canvas
        self.ruler: Array = ((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1).astype(np.float32)
        x, y = self.ruler - self.shift[0], (self.ruler - self.shift[1])[:, None]
        self.u: Array = cosine / nuisance.scale * x + sine / nuisance.scale * y
        self.v: Array = cosine / nuisance.scale * y - sine / nuisance.scale * x
        self.image = np.empty((3, size, size), np.float32)
        self.labels = np.zeros((size, size), np.uint8)

    def area(self, left: float, top: float, right: float, bottom: float, turn: float = 0.0) -> Area:
        """The pixels of a box given in the person's coordinates, and one more on each side."""
        a, b = self.axes
        corners = [(u, v) for u in (left, right) for v in (top, bottom)]
        columns = self._span([a * u - b * v + self.shift[0] for u, v in corners])
        rows = self._span([b * u + a * v + self.shift[1] for u, v in corners])
        u = self.u[rows, columns]
        return Area(u - turn if turn else u, self.v[rows, columns], (rows, columns))

    def _span(self, ends: list[float]) -> slice:
        first, last = ((end + 1) * self.size / 2 for end in (min(ends), max(ends)))
        return slice(max(0, int(first) - 1), max(0, int(last) + 2))

    def stripes(self, part: Part, across: Array, along: Array, dashes: float = 0.0) -> Array:
        """Bands that follow each other over `across` if the style bit is 0, over `along` if it is 1.

        On hair, hat and cloth the latter are finer.
        """
        period, phase = PERIOD[part] * self.shape.grain_period, self.shape.grain_phase
        if self.styles[part]:
            across, along = along, across
            period *= FINER[part]
        bands = wave(across, period, phase)
        return bands * (1 + dashes * wave(along, 2 * period, phase)) if dashes else bands

    def quarters(self, part: Part, u: Array, v: Array) -> Array:
        """Light above and below, dark at the sides if the part's style bit is 0; turned by a quarter if it is 1."""
        first, second = (u, v) if self.styles[part] else (v, u)
        first, second = first * first, second * second
        return (first - second) / (first + second + 1e-4)

    def lay(
        self,
        part: Part,
        area: Area,
        distance: Array,
        colour: Colour,
        tone: Array | float = 1.0,
        grain: Array | None = None,
        where: Array | None = None,
    ) -> None:
        """Paint a part over what is there, and write it into the label map where it covers half a pixel or more.

        Tone and grain multiply the colour. The grain is brought to mean 0 and to the contrast of the part and its style
        bit; `where`, in 0..1, confines it to a spot of the part.
        """
        cover = np.clip(0.5 - distance / self.pixel, 0, 1)
        tone = tone * (1 - EDGE_INK * np.clip(1 + distance / EDGE_WIDTH, 0, 1))
        if grain is not None:
            weight = cover if where is None else cover * where
            total = weight.sum() + 1e-6
            grain = grain - (grain * weight).sum() / total
            contrast = CONTRAST[part] * (1 if self.styles[part] else FAINT[part])
            grain = grain * (contrast / np.sqrt((grain * grain * weight).sum() / total + 1e-6))
            tone = tone * (1 + (grain if where is None else grain * where))
        canvas = self.image[:, *area.at]
        canvas += cover * (np.array(colour, np.float32)[:, None, None] * tone - canvas)
        self.labels[area.at][cover >= 0.5] = part


def wave(t: Array, period: float, phase: float) -> Array:
    """A smooth wave in -1..1, of parabolas: the same on every machine, and cheaper than a sine."""
    t = t / period + phase
    t = t - np.floor(t + 0.5)
    wave: Array = t * (8 - 16 * np.abs(t))
    return wave
