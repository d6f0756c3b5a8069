"""The rows of a study: what is trained for each, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tasks.errors import InputError
from tasks.metric.options import TrainingOptions

Method = Literal["heml", "traditional", "avsl"]


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One training of a study.

    Attributes:
        name: its name.
        method: a whole tree, one model on full images, or AVSL on full images.
        changes: which of the study's options it changes.
        controls: whether each leaf's shape and the background are trained beside the tree.
    """

    name: str
    method: Method
    changes: Mapping[str, Any] = field(default_factory=dict)
    controls: bool = False

    def options(self, study: TrainingOptions, seed: int) -> TrainingOptions:
        """The row's options, from the study's."""
        return replace(study, **self.changes, seed=seed)


PAPER_LOSSES = ("triplet", "angular", "multi_similarity", "ntxent", "snr", "proxy_anchor", "subcenter_arcface")
TABLE_1 = (
    StudyRow(name="triplet-traditional", method="traditional", changes={"loss": "triplet"}),
    StudyRow(name="proxy_anchor-traditional", method="traditional", changes={"loss": "proxy_anchor"}),
    StudyRow(name="avsl", method="avsl"),
    *(StudyRow(name=f"{loss}-heml", method="heml", changes={"loss": loss}) for loss in PAPER_LOSSES),
)
# Table III three times: what stands where a node's segments are not, as in the paper's figure and otherwise.
LEAK = tuple(
    StudyRow(name=f"fill-{fill}", method="heml", changes={"loss": "triplet", "fill": fill}, controls=True)
    for fill in ("background", "black", "mean")
)
FRAMING = tuple(
    StudyRow(name=f"framing-{framing}", method="heml", changes={"loss": "triplet", "framing": framing})
    for framing in ("full", "auto")
)
GROUPS: dict[str, tuple[StudyRow, ...]] = {"table-1": TABLE_1, "leak": LEAK, "framing": FRAMING}
ROWS: dict[str, StudyRow] = {row.name: row for rows in GROUPS.values() for row in rows}


def select_rows(names: Sequence[str]) -> tuple[StudyRow, ...]:
    """Rows by name, or whole groups of them, each once and in the order of the tables.

    Raises:
        InputError: there is no such row or group.
    """
    chosen = set()
    for name in names:
        if name not in ROWS and name not in GROUPS:
            raise InputError(f"unknown row {name!r}: one of {', '.join(GROUPS)}, or of {', '.join(ROWS)}")
        chosen |= {row.name for row in GROUPS.get(name, ())} or {name}
    return tuple(row for name, row in ROWS.items() if name in chosen)
