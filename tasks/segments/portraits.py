"""The embedded data: drawn portraits whose label has a planted, known cause.

Each portrait is a cartoon of an invented person, with an exact label map of its parts. Each part has a *style bit*: the
hair, say, has broad, faint bands across it or fine, clear ones along it. The label, one of two invented clubs, follows
the style bit of one part, the *cause*; the style bit of a second part, the *shortcut*, may go along with the label in
the training split and no longer in the validation split. All else (shapes, colours, the other style bits, pose, light,
noise) is drawn without regard to the label. So an explanation of why two portraits are alike can be checked against the
truth.

They are drawings, not faces: nothing found on them says anything about people, or how well a method does on photos.
"""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.errors import InputError
from tasks.segments.portrait_drawing import draw
from tasks.segments.portrait_people import Identity, Nuisance, Part, moment, person, with_style
from tasks.segments.source import SPLITS, Item, Photo, Split

GENERATOR_VERSION = 4  # raise it with every change that changes a pixel or a label
LABELS = ("aster", "briar")  # of style bit 0 and 1 of the cause
STYLES = ("a", "b")  # how groups name style bit 0 and 1
PARTS = tuple(part.name.lower() for part in Part if part is not Part.BACKGROUND)
SMALLEST = 32  # pixels; below it the small parts vanish

_Scene = Literal["train", "validation", "pair", "people"]
_SCENES: tuple[_Scene, ...] = ("train", "validation", "pair", "people")
_Role = Literal["plan", "identity", "nuisance", "other nuisance", "other identity"]
_ROLES: tuple[_Role, ...] = ("plan", "identity", "nuisance", "other nuisance", "other identity")


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
    _check_pair(index)
    identity = person(_stream(spec, "pair", "identity", index), spec.required)
    roles: tuple[_Role, _Role] = ("nuisance", "other nuisance")
    first, second = (
        _portrait(spec, bit, with_style(identity, spec.cause, bit), moment(_stream(spec, "pair", role, index)))
        for bit, role in enumerate(roles)
    )
    return first, second


def opposite_people(spec: PortraitSpec, index: int) -> tuple[Portrait, Portrait]:
    """Draw two people of opposite labels: all parts, pose, light and noise are drawn anew for each.

    The cause's style bit is 0 in the first and 1 in the second, the shortcut's is drawn. Neither person is in a split.

    Raises:
        InputError: the index is negative.
    """
    _check_pair(index)
    roles: tuple[tuple[_Role, _Role], ...] = (("identity", "nuisance"), ("other identity", "other nuisance"))
    drawn = []
    for bit, (who, when) in enumerate(roles):
        identity = person(_stream(spec, "people", who, index), spec.required)
        moment_of = moment(_stream(spec, "people", when, index))
        drawn.append(_portrait(spec, bit, with_style(identity, spec.cause, bit), moment_of))
    return drawn[0], drawn[1]


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


def _check_pair(index: int) -> None:
    if index < 0:
        raise InputError(f"pairs of portraits are numbered from 0; got {index}")


def _portrait(spec: PortraitSpec, label: int, identity: Identity, nuisance: Nuisance) -> Portrait:
    return Portrait(*draw(identity, nuisance, spec.size), LABELS[label], identity, nuisance)


def _stream(spec: PortraitSpec, scene: _Scene, role: _Role, index: int = 0) -> np.random.Generator:
    """Random numbers of one purpose: no other purpose, image or split shares or shifts them."""
    return np.random.default_rng([_SCENES.index(scene), _ROLES.index(role), index, spec.seed])
