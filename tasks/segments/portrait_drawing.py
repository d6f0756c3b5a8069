"""The painter of the embedded portraits: a person and a moment in, a picture and its exact label map out.

Every part is a signed distance field (negative inside), evaluated only in the part's box: the same distance gives the
antialiased edge, the soft outline and the label map, so the three cannot disagree: a pixel belongs to the topmost part
that covers half of it or more. A part's *style bit* turns its grain by a quarter: bands run across the part (0) or
along it (1); on hair, hat and cloth they are broad and faint (0) or fine and clear (1). The grain is brought to mean 0
in every single drawing, so the bit does not change the part's mean colour by much, and its outline not at all.

Lengths are in halves of the picture's side: the canvas spans -1..1, u to the right and v downwards. The bare numbers in
the painters are coordinates and tones of the drawing in these units; they were found by eye and mean nothing else.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.segments.portrait_easel import Array, Easel, wave
from tasks.segments.portrait_people import Colour, Identity, Nuisance, Part

SIDE_LIGHT = 0.06  # how much the picture brightens towards the light
ROUNDNESS = 0.10  # the same for the head alone
BLUSH = (0.0, 0.16, 0.12)  # share of red, green and blue that the cheeks swallow
HEAD_TOP, HEAD_MIDDLE, EYE_LINE, BROW_LINE, NOSE_LINE, LIPS_LINE = -0.50, -0.01, 0.03, -0.205, 0.20, 0.345
TEMPLE = -0.1  # where hair that leaves the ears free ends


def _ellipse(u: Array, v: Array, width: float, height: float) -> Array:
    """Distance to an ellipse's edge, exact at the edge, a good guess elsewhere."""
    a, b = u / width, v / height
    level = np.sqrt(a * a + b * b)
    a, b = a / width, b / height
    distance: Array = level * (level - 1) / np.sqrt(a * a + b * b + 1e-6)
    return distance


def _box(u: Array, v: Array, width: float, height: float, corner: float) -> Array:
    """Distance to the edge of a box with round corners."""
    a, b = np.abs(u) - (width - corner), np.abs(v) - (height - corner)
    outside = np.sqrt(np.maximum(a, 0) ** 2 + np.maximum(b, 0) ** 2)
    distance: Array = outside + np.minimum(np.maximum(a, b), 0) - corner
    return distance


def _shade(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _wall(easel: Easel) -> None:
    x, y = easel.ruler[None, :], easel.ruler[:, None]
    slope = np.clip(0.5 + 0.35 * y + 0.15 * x, 0, 1)
    disc = np.clip(0.5 - (np.sqrt(x * x + (y + 0.1) ** 2) - 0.82) / easel.pixel, 0, 1)
    wall, halo = (np.array(c, np.float32)[:, None, None] for c in (easel.palette.wall, easel.palette.halo))
    easel.image[:] = wall * (1.0 - 0.16 * slope)
    easel.image += disc * (halo * (1.0 - 0.12 * slope) - easel.image)


def _neck(easel: Easel) -> None:
    width = easel.shape.neck_width
    area = easel.area(-width - 0.1, 0.3, width + 0.1, 0.85)
    flare = np.abs(area.u) - width - 0.5 * np.maximum(area.v - 0.5, 0) ** 2
    tone = 0.93 - 0.22 * np.clip(1 - (area.v - 0.40) * 8, 0, 1)  # the chin's shadow
    grain = easel.stripes(Part.NECK, area.v - area.u * area.u, area.u)
    easel.lay(Part.NECK, area, np.maximum(flare, area.v - 0.84), easel.palette.skin, tone, grain)


def _cloth(easel: Easel) -> None:
    shape = easel.shape
    area = easel.area(-1.3, 0.45, 1.3, 1.4)
    body = _ellipse(area.u, area.v - 1.45, shape.shoulders, 0.88)
    opening = _ellipse(area.u, area.v - 0.5, shape.neck_width + 0.05, shape.neckline)
    distance = np.maximum(body, -opening)
    collar = 1 - 0.16 * np.clip(1 - np.abs(opening - 0.035) * 40, 0, 1)
    grain = easel.stripes(Part.CLOTH, area.v - 0.12 * area.u * area.u, area.u, shape.dashes)
    easel.lay(Part.CLOTH, area, distance, easel.palette.cloth, collar, np.clip(3 * grain, -1, 1))


def _ears(easel: Easel) -> None:
    reach = easel.shape.head_width + 0.04
    area = easel.area(-reach - 0.12, -0.2, reach + 0.12, 0.25)
    u, v = np.abs(area.u) - reach, area.v - 0.03
    grain = easel.stripes(Part.EARS, v, u)
    easel.lay(Part.EARS, area, _ellipse(u, v, 0.095, 0.145), _shade(easel.palette.skin, 0.95), 1.0, grain)


def _skin(easel: Easel) -> None:
    shape = easel.shape
    area = easel.area(-shape.head_width, HEAD_TOP - 0.05, shape.head_width, HEAD_MIDDLE + shape.head_height)
    v = area.v - HEAD_MIDDLE
    chin = np.clip(v / shape.head_height, 0, 1)
    u = area.u / (1 - shape.jaw * chin * chin)
    distance = _ellipse(u, v, shape.head_width, shape.head_height)
    tone = 1.03 + (ROUNDNESS / shape.head_width) * (easel.light[0] * u + easel.light[1] * v)
    turned = area.u - easel.turn
    cheeks = np.maximum(1 - _square(np.abs(turned) - (shape.eye_gap + 0.08), 0.17) - _square(v - 0.25, 0.15), 0)
    grain = easel.stripes(Part.SKIN, area.v, turned, 0.9)
    blush = np.array(BLUSH, np.float32)[:, None, None] * cheeks
    easel.lay(Part.SKIN, area, distance, easel.palette.skin, tone * (1 - blush), grain, np.sqrt(cheeks))


def _square(t: Array, reach: float) -> Array:
    t = t / reach
    return t * t


def _nose(easel: Easel) -> None:
    width, height = 0.085 * easel.shape.nose_size, 0.095 * easel.shape.nose_size
    area = easel.area(-0.2, NOSE_LINE - 0.15, 0.2, NOSE_LINE + 0.15, 1.3 * easel.turn)
    v = area.v - NOSE_LINE
    distance = _ellipse(area.u / (1 + 2.5 * v), v, width, height)
    easel.lay(Part.NOSE, area, distance, _shade(easel.palette.skin, 0.91), 1.0, easel.quarters(Part.NOSE, area.u, v))


def _lips(easel: Easel) -> None:
    shape = easel.shape
    area = easel.area(-0.35, LIPS_LINE - 0.15, 0.35, LIPS_LINE + 0.15, easel.turn)
    bend = np.minimum(_square(area.u, shape.lips_width), 1.2)
    v = area.v - LIPS_LINE + shape.smile * (bend - 0.5)
    half = 0.085 * (1 - bend)
    bow = 0.022 * np.maximum(1 - np.abs(area.u) * 20, 0)  # the notch of the upper lip
    distance = np.maximum(v - half, -v - half * 0.85 + bow)
    tone = 1 - 0.35 * np.maximum(1 - np.abs(v) * 45, 0)  # the line between the lips
    easel.lay(Part.LIPS, area, distance, easel.palette.lips, tone, easel.stripes(Part.LIPS, v, area.u))


def _eyes(easel: Easel) -> None:
    shape, size = easel.shape, easel.shape.eye_size
    reach = shape.eye_gap + 0.2
    area = easel.area(-reach, EYE_LINE - 0.2, reach, EYE_LINE + 0.2, easel.turn)
    side = np.sign(area.u)
    u, v = np.abs(area.u) - shape.eye_gap, area.v - EYE_LINE
    distance = _ellipse(u, v, 0.15 * size, 0.125 * size)
    gaze = u - 0.4 * easel.turn * side
    iris, radius = np.sqrt(gaze * gaze + v * v), 0.102 * size
    wide, tall = (0.030, 0.055) if easel.styles[Part.EYES] else (0.055, 0.030)
    easel.lay(Part.EYES, area, distance, (0.97, 0.97, 0.95))
    inside = np.maximum(distance, iris - radius)
    easel.lay(Part.EYES, area, inside, easel.palette.iris, 1.0, easel.quarters(Part.EYES, gaze, v))
    easel.lay(Part.EYES, area, np.maximum(distance, _ellipse(gaze, v, wide * size, tall * size)), (0.07, 0.06, 0.08))
    glint = _ellipse(gaze * side - 0.03, v + 0.035, 0.022, 0.022)
    easel.lay(Part.EYES, area, glint, (1.0, 1.0, 1.0))
    lid = np.maximum(np.abs(distance + 0.012) - 0.016, v + 0.02)
    easel.lay(Part.EYES, area, lid, (0.16, 0.12, 0.12))


def _brows(easel: Easel) -> None:
    shape = easel.shape
    reach = shape.eye_gap + 0.22
    area = easel.area(-reach, BROW_LINE - 0.17, reach, BROW_LINE + 0.15, easel.turn)
    u = np.abs(area.u) - (shape.eye_gap + 0.01)
    bend = np.minimum(_square(u, 0.155), 1.2)
    v = area.v - BROW_LINE - shape.brow_tilt * u / 0.155 - shape.brow_arch * (bend - 0.5)
    distance = np.abs(v) - 0.056 * np.sqrt(np.maximum(1 - bend, 0)) * (1 - u * 1.2)
    distance = np.maximum(distance, np.abs(u) - 0.155)  # no hairline where the brow has run out
    easel.lay(Part.BROWS, area, distance, _shade(easel.palette.hair, 0.8), 1.0, easel.stripes(Part.BROWS, v, u))


def _hair(easel: Easel, front: bool) -> None:
    """The hair behind the head, or that over the forehead and, when the ears are hidden, down the cheeks."""
    shape = easel.shape
    covered = Part.EARS not in easel.present
    width, crown = shape.head_width + shape.hair_volume, HEAD_TOP - 0.5 * shape.hair_volume
    foot = shape.hair_length + 0.1 if covered or not front else TEMPLE + 0.03
    u, v, _ = area = easel.area(-width - 0.1, -1.1, width + 0.1, foot)
    distance = _ellipse(u, v + 0.03, width, -crown - 0.03)
    if shape.hair_length > 0:
        falls = _box(u, v - 0.5 * shape.hair_length, width, 0.5 * shape.hair_length + 0.03, 0.16)
        distance = np.minimum(distance, np.maximum(falls, -v - 0.03))
    else:
        distance = np.maximum(distance, v - 0.1)
    distance = distance + 0.018 * wave(v, 0.23, 0.0)
    if shape.bun > 0 and Part.HAT not in easel.present:
        distance = np.minimum(distance, _ellipse(u, v - crown + 0.6 * shape.bun, shape.bun, 0.9 * shape.bun))
    tone: Array | float = 0.78
    if front:
        arch = shape.head_width * (0.86 if covered else 0.99)
        face = _ellipse(u, np.minimum(v - shape.parting * u - 0.05, 0), arch, 0.05 - shape.fringe)
        distance = np.maximum(distance, -face)
        if not covered:
            distance = np.maximum(distance, v - TEMPLE)
        shine = np.maximum(1 - _square(v - 0.5 * (crown + shape.fringe) - 0.4 * u * u, 0.07), 0)
        tone = 1 + 0.14 * shine + 0.08 * (easel.light[0] * u + easel.light[1] * v)
    strands = (u - 0.3 * shape.parting) * (1 - 0.25 * v) + 0.012 * wave(v, 0.5, shape.grain_phase)
    bands = v + 0.35 * u * u + 0.012 * wave(u, 0.35, shape.grain_phase)
    grain = easel.stripes(Part.HAIR, bands, strands, 0.5 * shape.dashes)
    easel.lay(Part.HAIR, area, distance, easel.palette.hair, tone, grain)


def _glasses(easel: Easel) -> None:
    shape = easel.shape
    reach = shape.head_width + 0.05
    area = easel.area(-reach, EYE_LINE - 0.25, reach, EYE_LINE + 0.25, easel.turn)
    u, v = np.abs(area.u) - (shape.eye_gap + 0.005), area.v - EYE_LINE - 0.01
    lens = _box(u, v, 0.185, 0.165, 0.07 + 0.09 * shape.rim_corner)
    rims = np.abs(lens) - 0.029
    bridge = np.maximum(np.abs(v + 0.03) - 0.022, np.maximum(u + 0.18, -lens))
    temple = shape.head_width - shape.eye_gap - 0.02
    temples = np.maximum(np.abs(v + 0.05) - 0.02, np.maximum(0.18 - u, u - temple))
    gleam = 0.10 * np.clip(0.5 - lens / easel.pixel, 0, 1) * np.clip(1 - np.abs(u + v - 0.02) * 14, 0, 1)
    canvas = easel.image[:, *area.at]
    canvas += gleam * (1 - canvas)
    distance = np.minimum(rims, np.minimum(bridge, temples))
    easel.lay(Part.GLASSES, area, distance, easel.palette.glasses, 1.0, easel.quarters(Part.GLASSES, u, v))


def _hat(easel: Easel) -> None:
    shape = easel.shape
    width, foot = shape.head_width + 0.07, -0.32
    reach = width + max(shape.brim, 0) + 0.05
    area = easel.area(-reach, -1.2, reach, foot + 0.15)
    u, v = area.u, area.v - foot + 0.12 * area.u * area.u
    dome = np.maximum(_ellipse(u, v, width, shape.hat_height), v)
    if shape.brim > 0:
        dome = np.minimum(dome, _ellipse(u, v + 0.01, width + shape.brim, 0.075))
        band = np.clip(1 - np.abs(v + 0.13) * 14, 0, 1) * 0.25
    else:
        dome = np.minimum(dome, _box(u, v + 0.06, width + 0.02, 0.085, 0.05))
        dome = np.minimum(dome, _ellipse(u, v + shape.hat_height + 0.03, 0.085, 0.085))
        band = np.clip(1 - np.abs(v + 0.15) * 40, 0, 1) * 0.35
    tone = 1 - band + 0.10 * (easel.light[0] * u + easel.light[1] * v)
    grain = easel.stripes(Part.HAT, v, u * (1 - 0.35 * v), 0.6 * shape.dashes)
    easel.lay(Part.HAT, area, dome, easel.palette.hat, tone, grain)


LAYERS: tuple[tuple[Part, Callable[[Easel], None]], ...] = (
    (Part.HAIR, lambda easel: _hair(easel, front=False)),
    (Part.NECK, _neck),
    (Part.CLOTH, _cloth),
    (Part.EARS, _ears),
    (Part.SKIN, _skin),
    (Part.NOSE, _nose),
    (Part.LIPS, _lips),
    (Part.EYES, _eyes),
    (Part.BROWS, _brows),
    (Part.HAIR, lambda easel: _hair(easel, front=True)),
    (Part.GLASSES, _glasses),
    (Part.HAT, _hat),
)


def draw(identity: Identity, nuisance: Nuisance, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a person at a moment.

    Args:
        identity: the person.
        nuisance: pose, light and noise.
        size: height and width in pixels.

    Returns:
        The picture, uint8 [3, size, size], and its label map, uint8 [size, size]: class ids of `Part`.
    """
    easel = Easel(identity, nuisance, size)
    _wall(easel)
    for part, paint in LAYERS:
        if part in identity.present:
            paint(easel)
    side = easel.light[0] * easel.ruler[None, :] + easel.light[1] * easel.ruler[:, None]
    warmth = np.array([1 + nuisance.warmth, 1, 1 - nuisance.warmth], np.float32)[:, None, None]
    image = easel.image * (warmth * (255 * nuisance.brightness * (1 + SIDE_LIGHT * side)))
    if nuisance.noise:
        grain = np.random.default_rng(nuisance.noise_seed).standard_normal(image.shape, dtype=np.float32)
        image += 255 * nuisance.noise * grain
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), easel.labels
