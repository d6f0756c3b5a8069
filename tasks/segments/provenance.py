"""Where a row of the store comes from that is no photo: a synthetic training sample, or the copy of a photo."""

from dataclasses import dataclass
from typing import Literal, get_args

PlanKind = Literal["other-label", "same-label", "balance-group"]
RowKind = Literal[PlanKind, "copy"]
PLAN_KINDS: tuple[PlanKind, ...] = get_args(PlanKind)
ROW_KINDS: tuple[RowKind, ...] = get_args(RowKind)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a synthetic row of a training split was made, so that it can be made again.

    Attributes:
        kind: how its parents were chosen; "copy" for a photo as it is.
        segment: name of the leaf that was exchanged; "" for a copy.
        receiver: image id of the photo that all else comes from.
        donor: image id of the photo that the segment comes from; the receiver itself for a copy.
        seed: of the choice of parents and of the held-out tenth that they belong to or not.
        held_out: whether its parents are among the photos that are held out of training.
    """

    kind: RowKind
    segment: str
    receiver: str
    donor: str
    seed: int
    held_out: bool
