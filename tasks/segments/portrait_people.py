"""Who is on an embedded portrait, and at which moment: traits and pose in numbers, drawn at random; no painting."""

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np

Colour = tuple[float, float, float]


class Part(IntEnum):
    """Class ids of the label map."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    HAT = 3
    EYES = 4
    BROWS = 5
    NOSE = 6
    LIPS = 7
    EARS = 8
    GLASSES = 9
    NECK = 10
    CLOTH = 11


class Shape(NamedTuple):
    """Measures of a person, in halves of the picture's side unless said otherwise."""

    head_width: float
    head_height: float
    jaw: float  # share by which the chin is narrower than the cheeks
    hair_volume: float
    hair_length: float  # height at which the hair ends
    fringe: float  # height of the hairline
    parting: float  # slope of the hairline
    bun: float  # radius of the bun; 0 or less: none
    hat_height: float
    brim: float  # how far the brim stands out; 0 or less: a knitted hat with a cuff
    eye_size: float  # factor
    eye_gap: float  # from the nose's axis to an eye's centre
    brow_tilt: float
    brow_arch: float
    nose_size: float  # factor
    lips_width: float
    smile: float
    rim_corner: float  # 1: round glasses, 0: square ones
    neck_width: float
    shoulders: float
    neckline: float  # depth of the neckline
    grain_period: float  # factor on the period of all grains
    grain_phase: float  # share of a period
    dashes: float  # 0: hair, hat and cloth have whole bands, 1: broken ones


class Palette(NamedTuple):
    """Colours of a person, red, green and blue in 0..1."""

    skin: Colour
    hair: Colour
    hat: Colour
    iris: Colour
    lips: Colour
    glasses: Colour
    cloth: Colour
    wall: Colour  # the background
    halo: Colour  # the disc on it


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What stays when the same person is drawn again.

    Attributes:
        shape: the measures.
        palette: the colours.
        styles: style bit (0 or 1) by class id; the background's is not used.
        present: the parts to draw. Ears are taken to be under the hair when they are absent.
    """

    shape: Shape
    palette: Palette
    styles: tuple[int, ...]
    present: frozenset[Part]


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """What differs from one picture of a person to the next.

    Attributes:
        rotation: clockwise turn in the picture's plane, radians.
        scale: factor on all lengths.
        shift: offset to the right and downwards, halves of the picture's side.
        turn: how far the face looks to the right, halves of the picture's side.
        brightness: factor on all colours.
        warmth: red is multiplied by 1 + warmth, blue by 1 - warmth.
        light: direction that the light comes from, radians, clockwise from the right.
        noise: standard deviation of the pixel noise, in 0..1.
        noise_seed: seed of the pixel noise.
    """

    rotation: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    brightness: float = 1.0
    warmth: float = 0.0
    light: float = -math.pi / 2
    noise: float = 0.0
    noise_seed: int = 0


SHAPES: dict[str, tuple[float, float]] = {  # each measure is uniform between the two; for units see Shape
    "head_width": (0.45, 0.53),
    "head_height": (0.46, 0.51),
    "jaw": (0.05, 0.25),
    "hair_volume": (0.05, 0.13),
    "hair_length": (-0.30, 0.75),
    "fringe": (-0.39, -0.33),
    "parting": (-0.20, 0.20),
    "bun": (-0.20, 0.19),
    "hat_height": (0.40, 0.55),
    "brim": (-0.25, 0.25),
    "eye_size": (0.90, 1.10),
    "eye_gap": (0.21, 0.24),
    "brow_tilt": (-0.015, 0.035),
    "brow_arch": (0.01, 0.06),
    "nose_size": (0.95, 1.25),
    "lips_width": (0.17, 0.24),
    "smile": (0.03, 0.10),
    "rim_corner": (0.0, 1.0),
    "neck_width": (0.16, 0.22),
    "shoulders": (0.78, 1.02),
    "neckline": (0.10, 0.25),
    "grain_period": (1.0, 1.3),
    "grain_phase": (0.0, 1.0),
    "dashes": (-0.6, 0.8),
}
BOB = 0.2  # hair that would end above it is cut short behind the ears instead
KNOT = 0.10  # a smaller bun is none
UNDER_HAT = 0.35  # hair under a hat reaches at least to here, so that some of it is seen
CHANCE = {Part.HAT: 0.35, Part.GLASSES: 0.35, Part.HAIR: 0.92}  # of being there
EARS_COVERED = 0.7  # chance, if the hair is long


def _colours(hexadecimal: str) -> tuple[Colour, ...]:
    """Colours in 0..1 of words such as "ff8000"."""
    return tuple((t[0] / 255, t[1] / 255, t[2] / 255) for t in map(bytes.fromhex, hexadecimal.split()))


SKINS = _colours("f7d1b5 ebb891 cc946b a3704f 754f3b")
HAIRS = _colours("403333 6b452e 9e542e d9ab61 adabad 337a85 cc738c 755c99")
IRISES = _colours("664229 806633 477a52 4073a6 73808c")
DYES = _colours("d99e38 bf4c40 385280 3d755c 338c94 854775 e0856b d1c2a8 6b7a8f")
WALLS = _colours("b8d8ea f0cfae bfe0b4 d9bfe6 f2df9c a9bfe6 eab4b4 dcdcdc")
ROUGES = _colours("c7454f 8c2f52 d9776a a8445e 7a3b3b e39aa0")
ROUGE_SHARE = 0.8  # of the lips' colour; the rest is the skin's
TINT = 0.025  # standard deviation about a palette's colour

# The moment: largest deviations to both sides, as Nuisance has them.
ROTATION = math.radians(3)
SCALE = 0.03
SHIFT = 0.06  # halves of the side: 3 % of it
TURN = 0.02
BRIGHTNESS = 0.03
WARMTH = 0.015
LIGHT = math.radians(40)  # to both sides of straight above
NOISE = (1 / 255, 2 / 255)  # least and most


def person(rng: np.random.Generator, required: frozenset[Part] = frozenset()) -> Identity:
    """Invent a person who has all required parts; the other traits do not depend on what is required.

    Ears and the length of the hair are the exceptions, as they depend on which parts are there.
    """
    low, high = np.array(list(SHAPES.values())).T
    shape = Shape(**dict(zip(SHAPES, (low + (high - low) * rng.random(len(SHAPES))).tolist(), strict=True)))
    skin = _between(SKINS, rng.random())
    palette = Palette(
        skin=skin,
        hair=_one_of(HAIRS, rng),
        hat=_one_of(DYES, rng),
        iris=_one_of(IRISES, rng),
        lips=_between((skin, _one_of(ROUGES, rng)), ROUGE_SHARE),
        glasses=_one_of(DYES, rng),
        cloth=_one_of(DYES, rng),
        wall=_one_of(WALLS, rng),
        halo=_one_of(WALLS, rng),
    )
    lucky = rng.random(len(Part)).tolist()
    absent = {part for part, chance in CHANCE.items() if lucky[part] >= chance and part not in required}
    if Part.HAIR not in absent:
        if Part.HAT not in absent:
            shape = shape._replace(hair_length=max(shape.hair_length, UNDER_HAT))
        if shape.hair_length > BOB and lucky[Part.EARS] < EARS_COVERED and Part.EARS not in required:
            absent.add(Part.EARS)
    shape = shape._replace(hair_length=shape.hair_length if shape.hair_length > BOB else 0.0)
    return Identity(
        shape=shape._replace(bun=shape.bun if shape.bun > KNOT else 0.0, dashes=max(shape.dashes, 0.0)),
        palette=palette,
        styles=tuple(rng.integers(0, 2, len(Part)).tolist()),
        present=frozenset(Part) - absent,
    )


def moment(rng: np.random.Generator) -> Nuisance:
    """Draw pose, light and noise."""
    rotation, scale, right, down, turn, brightness, warmth, light = (2 * rng.random(8) - 1).tolist()
    return Nuisance(
        rotation=rotation * ROTATION,
        scale=1 + scale * SCALE,
        shift=(right * SHIFT, down * SHIFT),
        turn=turn * TURN,
        brightness=1 + brightness * BRIGHTNESS,
        warmth=warmth * WARMTH,
        light=-math.pi / 2 + light * LIGHT,
        noise=float(rng.uniform(*NOISE)),
        noise_seed=int(rng.integers(2**32)),
    )


def with_style(identity: Identity, part: str, bit: int) -> Identity:
    """The same person, the style bit of the part named set to 0 or 1."""
    styles = list(identity.styles)
    styles[Part[part.upper()]] = bit
    return replace(identity, styles=tuple(styles))


def _between(colours: tuple[Colour, ...], share: float) -> Colour:
    """The colour at a share, 0..1, of the way along a chain of colours."""
    place = share * (len(colours) - 1)
    k = min(int(place), len(colours) - 2)
    red, green, blue = (a + (place - k) * (b - a) for a, b in zip(colours[k], colours[k + 1], strict=True))
    return (red, green, blue)


def _one_of(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    chosen = colours[int(rng.integers(len(colours)))]
    red, green, blue = np.clip(chosen + rng.normal(0, TINT, 3), 0.05, 1).tolist()
    return (red, green, blue)
