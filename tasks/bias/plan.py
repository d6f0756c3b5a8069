"""What is to be recombined: which segment is exchanged between which photos."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.bias.place import BACKGROUND
from tasks.errors import InputError
from tasks.segments.provenance import PLAN_KINDS, PlanKind
from tasks.segments.store import SegmentStore

FORM = '{"segment": "cloth", "classes": ["cloth"], "kind": "other-label", "seed": 0}'


@dataclass(frozen=True, kw_only=True)
class RecombinationPlan:
    """Which segment is exchanged between which photos.

    Attributes:
        segment: name of the leaf.
        classes: names of the classes that it unites.
        kind: "other-label", a donor of another label; "same-label", the control; "balance-group", a donor of the
            group that a label's photos have too few of.
        seed: of the choice of donors, and of the tenth of the photos that is held out of training.
    """

    segment: str
    classes: tuple[str, ...]
    kind: PlanKind
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, in the form that `parse_plan` reads."""
        return {**asdict(self), "classes": list(self.classes)}

    def class_ids(self, store: SegmentStore) -> tuple[int, ...]:
        """Ids of the plan's classes in a store's class table, by number.

        Raises:
            InputError: the store lacks one of them, or one is the background.
        """
        ids = {name: class_id for class_id, name in store.classes.items()}
        for name in self.classes:
            if name not in ids:
                raise InputError(
                    f"the plan's segment {self.segment!r} names the class {name!r}, which the store {store.path} does "
                    f"not have; it has: {', '.join(sorted(ids))}"
                )
            if ids[name] == BACKGROUND:
                raise InputError(
                    f"the plan's segment {self.segment!r} has the background {name!r} (class 0), which cannot be "
                    "exchanged: choose a segment that stands before it"
                )
        return tuple(sorted(ids[name] for name in self.classes))


def parse_plan(values: Any, where: str) -> RecombinationPlan:
    """Build a plan from plain values.

    Args:
        values: an object with the plan's attributes.
        where: what to name in errors.

    Raises:
        InputError: a key is missing or unknown, or a value is not what it should be.
    """
    names = RecombinationPlan.__dataclass_fields__
    if not isinstance(values, Mapping) or set(values) != set(names):
        raise InputError(f"{where} is not a plan, which has the keys {', '.join(names)}: write one as {FORM}")
    segment, classes, kind, seed = (values[name] for name in names)
    if kind not in PLAN_KINDS:
        raise InputError(f"{where} has the kind {kind!r}: choose from {', '.join(PLAN_KINDS)}")
    if not isinstance(segment, str) or not segment:
        raise InputError(f"{where} has the segment {segment!r}: give a leaf's name")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise InputError(f"{where} has the classes {classes!r}: give a list of one or more class names")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"{where} has the seed {seed!r}: give a whole number, 0 or more")
    return RecombinationPlan(segment=segment, classes=tuple(classes), kind=kind, seed=seed)


def read_plan(path: Path) -> RecombinationPlan:
    """Read a plan from a JSON file: the plan itself, or what an audit wrote, which holds one under the key "plan".

    Raises:
        InputError: the file cannot be read, holds no plan, or the audit found no shortcut.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the plan {path} cannot be read: {error}; `heml audit` writes a bias.json") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"the plan {path} is not JSON: {error}; `heml audit` writes a bias.json") from None
    if not isinstance(values, dict) or "plan" not in values:
        return parse_plan(values, f"the plan {path}")
    if values["plan"] is None:
        raise InputError(f"{path} has no plan, since the audit found no shortcut: to exchange a segment, write {FORM}")
    return parse_plan(values["plan"], f"the plan in {path}")
