"""The embedded data: drawn portraits whose label has a planted, known cause.

Each portrait is a cartoon of an invented person, with an exact label map of its parts. Each part has a *style bit*: the
grain of the hair, say, runs across it or along it. The label, one of two invented clubs, follows the style bit of one
part, the *cause*; the style bit of a second part, the *shortcut*, may go along with the label in the training split and
no longer in the validation split. All else (shapes, colours, the other style bits, pose, light, noise) is drawn without
regard to the label. So an explanation of why two portraits are alike can be checked against the truth.

They are drawings, not faces: nothing found on them says anything about people, or how well a method does on photos.
"""

import hashlib
import io
import json
import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.errors import InputError
from tasks.segments.portrait_drawing import Colour, Identity, Nuisance, Palette, Part, Shape, draw
from tasks.segments.source import SPLITS, Item, Photo, Split

GENERATOR_VERSION = 1  # raise it with every change that changes a pixel or a label
LABELS = ("aster", "briar")  # of style bit 0 and 1 of the cause
STYLES = ("a", "b")  # how groups name style bit 0 and 1
PARTS = tuple(part.name.lower() for part in Part if part is not Part.BACKGROUND)
SMALLEST = 32  # pixels; below it the small parts vanish

_Scene = Literal["train", "validation", "pair"]
_SCENES: tuple[_Scene, ...] = ("train", "validation", "pair")
_Role = Literal["plan", "identity", "nuisance", "other nuisance"]
_ROLES: tuple[_Role, ...] = ("plan", "identity", "nuisance", "other nuisance")


@dataclass(frozen=True, kw_only=True)
class PortraitSpec:
    """What to draw.

    Counts are exact: in each split the labels differ in number by one at most, and in each label's images the share
    whose style bit agrees with the label is the asked-for one, rounded to whole images.

    Attributes:
        size: height and width, pixels, 32 or more.
        train: images in the training split, 2 or more.
        validation: images in the validation split, 2 or more.
        cause: the part whose style bit is the label's cause.
        cause_strength: share of images, 0.5..1, of which the cause's style bit is the label's.
        shortcut: the part whose style bit goes along with the label for no reason, or None.
        shortcut_train: share of training images, 0..1, of which the shortcut's style bit is the label's.
        shortcut_validation: the same of the validation split.
        seed: 0 or more.

    Raises:
        InputError: a value is out of its range, or a part is not one of `PARTS`.
    """

    size: int = 96
    train: int = 1200
    validation: int = 400
    cause: str = "hair"
    cause_strength: float = 1.0
    shortcut: str | None = "cloth"
    shortcut_train: float = 0.9
    shortcut_validation: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("size", SMALLEST), ("train", len(LABELS)), ("validation", len(LABELS)), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"portraits need {name} >= {least}; got {getattr(self, name)}")
        for name, low in (("cause_strength", 0.5), ("shortcut_train", 0.0), ("shortcut_validation", 0.0)):
            if not low <= getattr(self, name) <= 1:
                raise InputError(f"portraits need {name} in {low:g}..1; got {getattr(self, name)}")
        for name in ("cause", "shortcut"):
            if getattr(self, name) not in (*PARTS, *((None,) if name == "shortcut" else ())):
                choices = ", ".join(PARTS) + (", or none" if name == "shortcut" else "")
                raise InputError(f"portraits have no part {getattr(self, name)!r} for {name}; choose from {choices}")
        if self.cause == self.shortcut:
            raise InputError(f"portraits need a shortcut other than the cause; got {self.cause!r} for both")

    def count(self, split: Split) -> int:
        """Images in a split."""
        return self.train if split == "train" else self.validation

    @property
    def required(self) -> frozenset[Part]:
        """Parts that no portrait goes without."""
        return frozenset(Part[name.upper()] for name in (self.cause, self.shortcut) if name is not None)

    @property
    def fingerprint(self) -> str:
        """Digest of the spec and the generator's version, 16 hexadecimal digits."""
        told = json.dumps([GENERATOR_VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


class Portrait(NamedTuple):
    """A portrait, and the truth about it.

    Attributes:
        image: uint8 [3, size, size].
        label_map: uint8 [size, size], class ids of `Part`.
        label: one of `LABELS`.
        identity: the person.
        nuisance: pose, light and noise.
    """

    image: NDArray[np.uint8]
    label_map: NDArray[np.uint8]
    label: str
    identity: Identity
    nuisance: Nuisance


def portrait(spec: PortraitSpec, split: Split, index: int) -> Portrait:
    """Draw one portrait of a split; each can be drawn alone.

    Raises:
        InputError: the split has no such index.
    """
    if not 0 <= index < spec.count(split):
        raise InputError(f"portraits have {split} images 0 to {spec.count(split) - 1}; got {index}")
    row = _plan(spec, split)[index]
    identity = person(_stream(spec, split, "identity", index), spec.required)
    identity = with_style(identity, spec.cause, row.cause)
    if spec.shortcut is not None:
        identity = with_style(identity, spec.shortcut, row.shortcut)
    return _portrait(spec, row.label, identity, moment(_stream(spec, split, "nuisance", index)))


def opposite_pair(spec: PortraitSpec, index: int) -> tuple[Portrait, Portrait]:
    """Draw a person twice, with the cause's style bit at 0 and at 1: the labels differ, and only for that reason.

    Pose, light and noise are drawn anew for each; the person is in neither split. The cause's strength is 1 here.

    Raises:
        InputError: the index is negative.
    """
    if index < 0:
        raise InputError(f"pairs of portraits are numbered from 0; got {index}")
    identity = person(_stream(spec, "pair", "identity", index), spec.required)
    roles: tuple[_Role, _Role] = ("nuisance", "other nuisance")
    first, second = (
        _portrait(spec, bit, with_style(identity, spec.cause, bit), moment(_stream(spec, "pair", role, index)))
        for bit, role in enumerate(roles)
    )
    return first, second


def digest(spec: PortraitSpec) -> str:
    """SHA-256, hexadecimal, of all images, label maps and labels of both splits. It draws them all."""
    running = hashlib.sha256()
    for split in SPLITS:
        for index in range(spec.count(split)):
            drawn = portrait(spec, split, index)
            running.update(drawn.label.encode())
            running.update(drawn.image.tobytes())
            running.update(drawn.label_map.tobytes())
    return running.hexdigest()


@dataclass(frozen=True)
class PortraitSource:
    """The portraits as a source of photos. An item's group is the style of its shortcut, such as "cloth-a"."""

    spec: PortraitSpec = PortraitSpec()

    @property
    def name(self) -> str:
        """Name of the data set."""
        return "portraits"

    def classes(self) -> dict[int, str]:
        """Class id to the part's name."""
        return {part.value: part.name.lower() for part in Part}

    def items(self) -> tuple[Item, ...]:
        """All portraits, the training split first."""
        fingerprint = self.spec.fingerprint
        return tuple(
            Item(
                image_id=f"{split}-{index:05d}",
                split=split,
                label=LABELS[row.label],
                group=None if self.spec.shortcut is None else f"{self.spec.shortcut}-{STYLES[row.shortcut]}",
                fingerprint=fingerprint,
            )
            for split in SPLITS
            for index, row in enumerate(_plan(self.spec, split))
        )

    def has_mask(self, item: Item) -> bool:
        """Every portrait has a label map."""
        return True

    def load(self, item: Item) -> Photo:
        """Draw one portrait, as PNG.

        Raises:
            InputError: the item is not of this source.
        """
        split, _, number = item.image_id.partition("-")
        if split != item.split or not number.isdecimal():
            raise InputError(f"portraits are named like {item.split}-00000; got {item.image_id!r}")
        drawn = portrait(self.spec, item.split, int(number))
        buffer = io.BytesIO()
        Image.fromarray(drawn.image.transpose(1, 2, 0)).save(buffer, "PNG", compress_level=1)
        return Photo(buffer.getvalue(), f"{item.image_id}.png", drawn.label_map)


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
WALLS = _colours("ccdee6 edd6c2 d1e3cc e0d1e6 f0e3bd bdcce0 e6c7c7")
ROUGE: Colour = (0.78, 0.27, 0.31)
ROUGE_SHARE = 0.55  # of the lips' colour; the rest is the skin's
TINT = 0.025  # standard deviation about a palette's colour

# The moment: largest deviations to both sides, as Nuisance has them.
ROTATION = math.radians(8)
SCALE = 0.05
SHIFT = 0.08  # halves of the side: 4 % of it
TURN = 0.05
BRIGHTNESS = 0.12
WARMTH = 0.05
NOISE = (1 / 255, 4 / 255)  # least and most


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
        lips=_between((skin, ROUGE), ROUGE_SHARE),
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
        styles=tuple(rng.integers(0, len(STYLES), len(Part)).tolist()),
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
        light=light * math.pi,
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


class _Row(NamedTuple):
    """Label, and style bits of cause and shortcut, of one image."""

    label: int
    cause: int
    shortcut: int


@lru_cache(maxsize=8)
def _plan(spec: PortraitSpec, split: Split) -> tuple[_Row, ...]:
    """Labels and style bits of a split, in an order that has no pattern."""
    rng = _stream(spec, split, "plan")
    n = spec.count(split)
    labels = rng.permutation(np.arange(n) % len(LABELS))
    share = spec.shortcut_train if split == "train" else spec.shortcut_validation
    causes, shortcuts = _agreeing(labels, spec.cause_strength, rng), _agreeing(labels, share, rng)
    return tuple(map(_Row._make, zip(labels.tolist(), causes.tolist(), shortcuts.tolist(), strict=True)))


def _agreeing(labels: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Bits that are the label in the given share of each label's images, and the other one in the rest."""
    bits = 1 - labels
    for label in range(len(LABELS)):
        images = rng.permutation(np.flatnonzero(labels == label))
        agreeing = images[: round(share * len(images))]
        bits[agreeing] = label
    return bits


def _portrait(spec: PortraitSpec, label: int, identity: Identity, nuisance: Nuisance) -> Portrait:
    return Portrait(*draw(identity, nuisance, spec.size), LABELS[label], identity, nuisance)


def _stream(spec: PortraitSpec, scene: _Scene, role: _Role, index: int = 0) -> np.random.Generator:
    """Random numbers of one purpose: no other purpose, image or split shares or shifts them."""
    return np.random.default_rng([_SCENES.index(scene), _ROLES.index(role), index, spec.seed])
